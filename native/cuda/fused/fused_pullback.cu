#include <algorithm>

#include "core/errors.h"
#include "cuda/device/grid.h"
#include "cuda/device/launch.h"
#include "cuda/fused/fused_fragment_pullback.h"
#include "cuda/fused/fused_fragment_reverse.h"
#include "cuda/fused/fused_pullback.h"
#include "cuda/fused/fused_tile_reverse.h"
#include "cuda/net/weight_gradient.h"

namespace ffjord::cuda {
namespace {

// Enough blocks for the largest cards, whatever the present one is: sums must not depend on it.
constexpr int kMostBlocks = 264;
// All passes together take 1 GiB at most.
constexpr std::size_t kMostPassFloats = std::size_t(1) << 28;
// So many tiles of a block a launch: between launches the host looks whether it shall stop, and
// others may use the card.
constexpr int kTilesALaunch = 16;

// hot: no spills
template <class Layers>
__global__ void __launch_bounds__(Layers::Tile::kThreads, 1)
    fused_pullback(const __grid_constant__ FusedPullbackArguments s,
                   const __grid_constant__ DeviceTableau tableau) {
  pull_tiles<Layers>(s, tableau);
}

FusedPullbackKernel kernel_of(const FusedPlan& plan) {
  if (in_fragments(plan.shape)) return fragment_pullback(plan.shape, plan.net.tangents);
  FusedPullbackKernel kernel;
  with_float_tile(plan.shape, plan.net.tangents, [&](auto tile) {
    using Layers = FusedTileReverse<decltype(tile)>;
    kernel = pullback_kernel<Layers>("fused_pullback", fused_pullback<Layers>);
  });
  return kernel;
}

// gradient += what the blocks summed.
void add_sums(const BlockCall& call, const FusedPullbackArguments& s, int blocks, float* gradient) {
  const NetArrays arrays = call.net.arrays();
  for (int l = 0; l < s.net.layer_count; ++l) {
    OuterArguments outer;
    outer.slices = s.slices[l];
    outer.slice_count = blocks;
    add_weight_gradient(s.net.layers[l], outer, gradient, call.stream);
  }
  UnitSumArguments u;
  u.layers = arrays.layers;
  u.end_layer = arrays.layer_count;
  u.units = u.end_unit = arrays.units;
  u.sum_tiles = u.tiles = blocks;
  u.unit_sums = s.unit_sums;
  u.gradient = gradient;
  add_unit_sums(u, false, call.stream);
}

}  // namespace

void pull_fused(const FusedPlan& plan, const BlockCall& call, const Group* groups,
                const StepTape& steps, float* bar, double* row_sums, float* gradient) {
  FusedPullbackArguments s;
  s.net = plan.net;
  s.layout = plan.layout;
  s.groups = groups;
  s.group_count = plan.grouping.count();
  s.group_rows = plan.grouping.rows;
  s.tape = steps;
  s.batch = plan.grouping.batch;
  s.channels = plan.channels;
  s.groups_a_tile = plan.groups_a_tile;
  s.stages = call.plan.solver.tableau->differentiated_stages();
  s.eps = call.eps;
  s.bar = bar;
  s.row_sums = row_sums;
  const FusedPullbackKernel pullback = kernel_of(plan);
  for (int l = 0; l < s.net.layer_count; ++l) {
    s.first_place[l] = s.places;
    s.places += pullback.places_of(s.net.layers[l]);
  }
  const std::size_t passes_of_block =
      std::size_t(s.stages) * s.places * pullback.kept * pullback.threads;
  const int blocks = std::min(
      {plan.tiles, kMostBlocks, std::max(1, static_cast<int>(kMostPassFloats / passes_of_block))});
  DeviceArray<float> passes(blocks * passes_of_block, call.stream);
  s.passes = passes.data();
  Arena sums;
  if (gradient)
    sums.build(call.stream, [&](Arena& arena) {
      for (int l = 0; l < s.net.layer_count; ++l)
        s.slices[l] = arena.take(blocks * s.net.layers[l].weights());
      s.unit_sums = arena.take(std::size_t(kUnitSums) * blocks * s.net.units);
    });
  const LaunchShape shape{dim3(blocks), dim3(pullback.threads), s.layout.bytes()};
  for (; s.first_tile < plan.tiles; s.first_tile = s.end_tile) {
    if (call.plan.stop.stop_requested())
      throw Error(ErrorCode::Cancelled, "the pullback was stopped");
    s.end_tile = std::min(plan.tiles, s.first_tile + blocks * kTilesALaunch);
    launch(pullback.name, pullback.kernel, shape, call.stream, s,
           device_tableau(*call.plan.solver.tableau));
    if (s.end_tile < plan.tiles) call.stream.synchronize();
  }
  if (gradient) add_sums(call, s, blocks, gradient);
}

}  // namespace ffjord::cuda
