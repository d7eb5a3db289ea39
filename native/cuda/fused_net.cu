#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "cuda/fused_net.h"
#include "cuda/tiling.h"
#include "cuda/workspace.h"

namespace ffjord::cuda {
namespace {

// Batches up to these sizes are cut into tiles of 4 rows and of 16, so that their blocks reach all
// multiprocessors: larger ones into 32. They do not ask how many a card has, as the order of sums
// must not.
constexpr int kNarrowBatch = 1024, kHalfBatch = 4096;
constexpr int kMostTangents = 3, kMostUnits = 128;

// Of few dimensions an exact trace takes unit vectors, in place of its closed form.
EvaluationForm open_form(const BlockCall& call) {
  EvaluationForm form = call.form();
  if (form.closed && call.dimension() <= kMostTangents) {
    form.closed = false;
    form.unit = true;
    form.tangents = call.dimension();
  }
  return form;
}

// FFJORD_CUDA_FUSED=0 takes the kernels of single layers throughout: to compare the two.
bool allowed() {
  const char* const choice = std::getenv("FFJORD_CUDA_FUSED");
  return !choice || std::string_view(choice) != "0";
}

bool holds(const DenseNet& net, const EvaluationForm& form, const SolverOptions& solver) {
  if (!allowed() || net.conditional() || form.encoder > 0 ||
      net.layers().size() > FusedNet::kMostLayers)
    return false;
  for (const Layer& layer : net.layers())
    if (layer.expanded() || layer.hyper() || layer.activation == Activation::Swish ||
        std::max(layer.in, layer.out) > kMostUnits)
      return false;
  return form.tangents >= 1 && form.tangents <= kMostTangents && !form.vjp &&
         (!solver.tableau->adaptive || solver.controller == Controller::Pi);
}

FusedNet describe(const BlockCall& call, const EvaluationForm& form) {
  const DenseNet& net = call.net;
  const NetArrays arrays = net.arrays();
  FusedNet fused;
  std::copy(net.layers().begin(), net.layers().end(), fused.layers);
  fused.layer_count = arrays.layer_count;
  fused.units = arrays.units;
  fused.dimension = arrays.dimension;
  fused.gated = net.layers().front().gated();
  fused.residual = net.residual();
  fused.tangents = form.tangents;
  fused.unit = form.unit;
  fused.weight = form.unit ? 1.f : 1.f / form.tangents;
  fused.regularisers = form.regularisers;
  fused.direction = call.direction();
  fused.parameters = arrays.parameters;
  fused.packed = arrays.packed;
  return fused;
}

int widest_of(const DenseNet& net) {
  int widest = 0;
  for (const Layer& layer : net.layers()) widest = std::max({widest, layer.in, layer.out});
  return widest;
}

// Narrow tiles have a warp a row, and no tensor cores.
FusedShape choose_shape(const DenseNet& net, const Grouping& grouping) {
  const bool by_row = grouping.rows == 1 && grouping.batch > 1;
  const bool by_tile = !by_row && grouping.count() > 1;
  if (by_row || (!by_tile && grouping.batch <= kNarrowBatch)) return FusedShape::Narrow;
  if (!takes_tensor_cores(widest_of(net))) return FusedShape::Broad;
  // A group of Control::Tile is a tile of either.
  static_assert(FusedTile<4, 4, 2>::kRows == kGroupRows &&
                FusedTensorTile<4, 2>::kRows == kGroupRows);
  return by_tile || grouping.batch > kHalfBatch ? FusedShape::Tensor32 : FusedShape::Tensor16;
}

template <class Tile>
FusedLayout lay_out(const FusedPlan& plan, int stages, bool pullback) {
  const FusedNet& net = plan.net;
  FusedLayout at;
  const auto take = [&](int floats) {
    const int first = at.size;
    at.size += (floats + 3) / 4 * 4;
    return first;
  };
  const auto doubles = [&](std::size_t count, std::size_t size) {
    return take(static_cast<int>(count * size / sizeof(float)));
  };
  const auto matrix = [&](int depth, int width) {
    return take(Tile::padded(depth) * (Tile::padded(width) + Tile::kWeightPadding));
  };
  constexpr int rows = Tile::kRows, channels = Tile::kChannels;
  const int states = rows * plan.channels;
  for (int l = 0; l < net.layer_count; ++l) {
    const Layer& layer = net.layers[l];
    at.weights[l] = matrix(layer.in, layer.out);
    if (!pullback) continue;
    at.transposed[l] = matrix(layer.out, layer.in);
    at.sums[l] = take(Tile::padded(layer.in) * Tile::padded(layer.out));
  }
  for (int& part : at.activations) part = take(channels * rows * net.stride);
  at.time = take(plan.groups_a_tile);
  for (int* part : {&at.gates, &at.offsets, &at.shifts})
    *part = take(plan.groups_a_tile * net.units);
  at.eps = take(net.tangents * rows * net.dimension);
  at.point = take(rows * net.dimension);
  at.state = take(states);
  at.stages = take(stages * states);
  at.groups = doubles(plan.groups_a_tile, sizeof(Group));
  if (!pullback) {
    at.end = take(states);
    at.row_parts = doubles(rows, sizeof(NormPart));
    at.parts = doubles(Tile::kThreads, sizeof(NormPart));
    return at;
  }
  at.row_sums = doubles(rows, sizeof(double));
  at.time_parts = take(Tile::kWarpsAcross * rows);
  at.unit_sums = take(kUnitSums * net.units);
  for (int& part : at.bars) part = take(channels * rows * net.stride);
  if (net.gated) {
    at.plain_bars = take(rows * net.stride);
    at.logit_bars = take(rows * net.stride);
  }
  at.bar = take(states);
  at.rate_bar = take(states);
  at.point_bars = take(stages * rows * net.dimension);
  return at;
}

std::size_t shared_memory_of_card() {
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "device");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "device");
  return bytes;
}

std::optional<FusedPlan> plan_fused(const BlockCall& call, bool pullback) {
  const EvaluationForm form = open_form(call);
  if (!holds(call.net, form, call.plan.solver)) return std::nullopt;
  FusedPlan plan;
  plan.grouping = call.grouping;
  plan.channels = call.channels();
  plan.net = describe(call, form);
  plan.shape = choose_shape(call.net, call.grouping);
  with_fused_tile(plan.shape, form.tangents, [&](auto tile) {
    using Tile = decltype(tile);
    plan.net.stride = Tile::padded(widest_of(call.net)) + 4;  // rows meet different banks
    plan.tiles = tiles_of(call.grouping.batch, Tile::kRows);
    plan.groups_a_tile = call.grouping.rows == 1 && call.grouping.batch > 1 ? Tile::kRows : 1;
    plan.layout = lay_out<Tile>(plan, call.plan.solver.tableau->stages, pullback);
  });
  if (plan.layout.bytes() > shared_memory_of_card()) return std::nullopt;
  return plan;
}

}  // namespace

std::optional<FusedPlan> plan_fused_solve(const BlockCall& call) { return plan_fused(call, false); }

std::optional<FusedPlan> plan_fused_pullback(const BlockCall& call) {
  return plan_fused(call, true);
}

}  // namespace ffjord::cuda
