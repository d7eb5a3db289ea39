#include "cpu/cpu_block.h"

#include <algorithm>

#include "core/errors.h"
#include "cpu/adjoint.h"
#include "cpu/checkpoint.h"
#include "cpu/flow_solve.h"
#include "cpu/velocity.h"

namespace ffjord::cpu {
namespace {

std::size_t total_size(const std::vector<ParameterRange>& ranges) {
  std::size_t size = 0;
  for (const ParameterRange& range : ranges) size += range.size;
  return size;
}

}  // namespace

CpuBlock::CpuBlock(const BlockPlace<float>& place, std::string_view instruction_set, int threads)
    : ContinuousBlock(place),
      plan_(place.offsets.net),
      dimension_(plan_.size_in()),
      sqrt_end_time_offset_(place.offsets.sqrt_end_time),
      weights_(total_size(plan_.tensors)),
      threads_(threads),
      net_(make_tile_net(instruction_set, net_context(place))) {}

// A thread that is woken for less than some ten microseconds of work costs more than it brings.
int CpuBlock::threads_for(const TracePlan& trace, std::size_t batch, int evaluations) const {
  constexpr double kLeastWork = 400e3;  // multiply-adds
  const double work = cost(plan_, trace) * double(batch) * evaluations;
  return static_cast<int>(std::clamp(work / kLeastWork, 1.0, double(threads_)));
}

// W(t) of a hypernet, and M(t) of a closed trace behind gates.
bool CpuBlock::has_costly_times(const TracePlan& trace) const {
  const LayerPlan& last = plan_.last();
  return last.hyper() || (last.gated() && trace.divergence == Divergence::ClosedTwoHidden);
}

// To keep what a layer leaves and to read it again takes as long as a hundred multiply-adds a
// number, where it fits in no cache. A training iteration of 43-860-860-43 (460 a number) and of 64
// channels by 3 × 3 filters takes 0.76 of the time for it, of 8-256-256-8 (134) 0.86, of
// 2-64-64-64-2 (43) 1.05. The VJP form is pulled back as the tangent form, which no solve
// evaluates.
std::uint64_t CpuBlock::kept_unasked(const TracePlan& trace) const {
  constexpr double kLeastWork = 100;
  constexpr std::uint64_t kUnasked = std::uint64_t{1} << 26;  // to ask takes 50 µs
  double work = 0, numbers = 0;
  for (const LayerPlan& layer : plan_.layers) {
    work += layer.map.multiply_adds();
    numbers += double(layer.map.size_out());
  }
  return work >= kLeastWork * numbers && trace.divergence != Divergence::Vjp ? kUnasked : 0;
}

Workspace& CpuBlock::workspace(const TracePlan& trace, const Regularisers& regularisers,
                               const Team& team) {
  if (!workspace_ || !workspace_->serves(trace, regularisers))
    workspace_ = std::make_unique<Workspace>(*net_, trace, regularisers);
  workspace_->reserve_workers(team.size());
  return *workspace_;
}

std::unique_ptr<BlockTape> CpuBlock::solve_rows(const BlockPlan& plan, bool reverse,
                                                const BlockRows<float>& rows,
                                                const BlockNoise<float>& noise, bool keep_tape,
                                                const BlockTrajectory<float>* trajectory,
                                                SolveStatistics& statistics) {
  if (plan_.last().hyper() && stepping(plan.solver) == Control::Sample)
    throw Error(ErrorCode::Unsupported,
                "hyper layers take one time for all rows of an evaluation, so control 'sample' is "
                "not for them on the cpu engine; use control 'tile' or 'batch'");
  Team team(threads_for(plan.trace, rows.count, plan.solver.tableau->stages));
  const BlockCall call{*net_,
                       workspace(plan.trace, plan.regularisers, team),
                       team,
                       plan,
                       {rows.count, net_->rows()},
                       dimension_,
                       reverse,
                       plan.end_time(),
                       kept_unasked(plan.trace),
                       has_costly_times(plan.trace)};
  return solve_flow(call, rows, noise.values(), keep_tape, trajectory, statistics);
}

void CpuBlock::pull_rows(const BlockTape& any_tape, const BlockRows<float>& rows,
                         std::span<float> gradients, SolveStatistics& statistics) {
  const auto& tape = dynamic_cast<const SolveTape&>(any_tape);
  const BlockPlan& plan = tape.plan;
  Team team(threads_for(plan.trace, rows.count, 3 * plan.solver.tableau->stages));
  const BlockCall call{*net_,
                       workspace(plan.trace, plan.regularisers, team),
                       team,
                       plan,
                       tape.tiles,
                       dimension_,
                       tape.reverse,
                       plan.end_time(),
                       kept_unasked(plan.trace),
                       has_costly_times(plan.trace)};
  std::vector<double> end_time_bars;  // one a slot
  if (plan.gradient.method == GradientMethod::Checkpoint) {
    end_time_bars = pull_checkpoints(call, tape, weights_, rows, gradients, statistics);
    for (double& bar : end_time_bars) bar = call.end_time > 0 ? bar / call.end_time : 0;
  } else {
    end_time_bars = pull_adjoint(call, tape, plan_.tensors, rows, gradients, statistics);
  }
  if (gradients.empty() || sqrt_end_time_offset_ == kAbsent) return;
  std::vector<float> bars;
  for (double bar : end_time_bars) bars.push_back(static_cast<float>(plan.sqrt_end_time_bar(bar)));
  gradients[sqrt_end_time_offset_] += tree_sum(bars);
}

void CpuBlock::evaluate(const BlockPoint<float>& point, std::span<float> f,
                        std::span<float> divergence) {
  Team team(threads_for(point.trace, point.batch, 1));
  const VelocityCall call{*net_,      workspace(point.trace, {}, team),
                          team,       {point.batch, net_->rows()},
                          dimension_, point};
  evaluate_velocity(call, f, divergence);
}

void CpuBlock::pull_point(const BlockPoint<float>& point,
                          const PointCotangents<float>& cotangents) {
  Team team(threads_for(point.trace, point.batch, 3));
  const VelocityCall call{*net_,      workspace(point.trace, {}, team),
                          team,       {point.batch, net_->rows()},
                          dimension_, point};
  pull_velocity(call, weights_, cotangents);
}

void CpuBlock::regress_point(const BlockPoint<float>& point, const VelocityTarget& target,
                             std::span<float> gradients) {
  Team team(threads_for(point.trace, point.batch, 3));
  const VelocityCall call{*net_,      workspace(point.trace, {}, team),
                          team,       {point.batch, net_->rows()},
                          dimension_, point};
  regress_velocity(call, weights_, target, gradients);
}

}  // namespace ffjord::cpu
