#include <algorithm>

#include "core/errors.h"
#include "cuda/device/grid.h"
#include "cuda/device/launch.h"
#include "cuda/fused/fused_field.h"
#include "cuda/fused/fused_fragment_solve.h"
#include "cuda/fused/fused_solve.h"
#include "cuda/fused/fused_stepper.h"

namespace ffjord::cuda {
namespace {

// So many attempts of one tile a launch at most, fewer where a block has many tiles: between
// launches the host looks whether it shall stop, and others may use the card.
constexpr int kMostAttempts = 256, kLeastAttempts = 8, kFirstCheckpoints = 32;

// hot: no spills
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    fused_solve(const __grid_constant__ FusedSolveArguments s,
                const __grid_constant__ DeviceTableau tableau) {
  step_tiles<FusedField<Tile>>(s, tableau);
}

FusedSolveKernel kernel_of(const FusedPlan& plan) {
  if (in_fragments(plan.shape)) return fragment_solve(plan.shape, plan.net.tangents);
  FusedSolveKernel kernel;
  with_float_tile(plan.shape, plan.net.tangents, [&](auto tile) {
    using Tile = decltype(tile);
    kernel = {"fused_solve", fused_solve<Tile>, Tile::kThreads};
  });
  return kernel;
}

}  // namespace

FusedSolve::FusedSolve(const FusedPlan& plan, const SolverOptions& options, const Stream& stream)
    : options_(options),
      policy_(step_policy(options)),
      tableau_(device_tableau(*options.tableau)),
      stream_(stream),
      outcome_(plan.grouping, stream),
      y_(std::size_t(plan.grouping.batch) * plan.channels, stream),
      k0_(y_.size(), stream),
      parts_(std::size_t(kSlots) * plan.tiles, stream) {}

void FusedSolve::run(const FusedPlan& plan, const float* eps, const SolveRun& run) {
  place_groups(outcome_.groups(), run.t0, stream_);
  if (run.t0 == run.t1) return outcome_.look();
  FusedSolveArguments s;
  s.net = plan.net;
  s.layout = plan.layout;
  s.groups = outcome_.groups();
  s.policy = policy_;
  s.t0 = run.t0;
  s.t1 = run.t1;
  s.batch = plan.grouping.batch;
  s.tiles = plan.tiles;
  s.channels = plan.channels;
  s.groups_a_tile = plan.groups_a_tile;
  s.joint = plan.grouping.count() == 1;
  s.norm.tensors[0] = plan.net.dimension;
  s.norm.tensors[1] = 1;
  s.norm.rtol = static_cast<float>(options_.rtol);
  s.norm.atol = static_cast<float>(options_.atol);
  s.norm.parts = parts_.data();
  s.norm.row_errors = outcome_.row_errors();
  s.stability_limit = options_.tableau->stability_limit;
  s.eps = eps;
  s.y = y_.data();
  s.k0 = k0_.data();
  for (s.begins = true;; s.begins = false) {
    if (run.stop.stop_requested()) throw Error(ErrorCode::Cancelled, "the solve was stopped");
    if (run.checkpoints) {
      if (run.checkpoints->tape().capacity == 0)
        run.checkpoints->grow(kFirstCheckpoints, plan.grouping, stream_);
      s.tape = run.checkpoints->tape();
    }
    start(plan, s);
    outcome_.look();
    bool goes_on = false, lacks_room = false;
    for (const Group& group : outcome_.ends()) {
      goes_on |= group.can_go_on();
      lacks_room |= group.lacks_room != 0;
    }
    if (!goes_on) return outcome_.require_end(policy_);
    if (lacks_room) run.checkpoints->grow(0, plan.grouping, stream_);
  }
}

void FusedSolve::start(const FusedPlan& plan, FusedSolveArguments& s) {
  const FusedSolveKernel solve = kernel_of(plan);
  if (resident_blocks_ == 0)
    resident_blocks_ = resident_blocks(solve.name, solve.kernel, solve.threads, s.layout.bytes());
  const int blocks = std::min(s.tiles, resident_blocks_);
  s.most_attempts =
      std::clamp(kMostAttempts / tiles_of(s.tiles, blocks), kLeastAttempts, kMostAttempts);
  if (s.joint && blocks < s.tiles && end_.empty()) {
    end_ = DeviceArray<float>(y_.size(), stream_);
    last_ = DeviceArray<float>(y_.size(), stream_);
  }
  s.end = end_.data();
  s.last = last_.data();
  const LaunchShape shape{dim3(blocks), dim3(solve.threads), s.layout.bytes(), s.joint};
  launch(solve.name, solve.kernel, shape, stream_, s, tableau_);
}

}  // namespace ffjord::cuda
