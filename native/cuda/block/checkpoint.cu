#include <algorithm>
#include <numeric>
#include <vector>

#include "core/errors.h"
#include "cuda/block/checkpoint.h"
#include "cuda/block/row_states.h"
#include "cuda/block/step_pullback.h"
#include "cuda/fused/fused_pullback.h"

namespace ffjord::cuda {
namespace {

// Single rows by falling number of steps, so that in every step those at work come first.
std::vector<int> order_of(const SolveTape& tape) {
  std::vector<int> rows(tape.grouping.ordered() ? tape.grouping.batch : 0);
  std::iota(rows.begin(), rows.end(), 0);
  std::stable_sort(rows.begin(), rows.end(),
                   [&](int a, int b) { return tape.steps[a] > tape.steps[b]; });
  return rows;
}

// An FSAL stage counts only where the interpolant uses it: in the last step of torchdiffeq's.
int stages_of(const SolveTape& tape, int back) {
  const Tableau& tableau = *tape.plan.solver.tableau;
  const bool interpolates =
      tableau.adaptive && tape.plan.solver.controller == Controller::Torchdiffeq && back == 0;
  return interpolates ? tableau.stages : tableau.differentiated_stages();
}

class CheckpointPullback {
 public:
  CheckpointPullback(const BlockCall& call, Workspace& workspace, const SolveTape& tape, float* bar,
                     double* row_sums, float* gradient)
      : call_(call),
        workspace_(workspace),
        tape_(tape),
        tableau_(*tape.plan.solver.tableau),
        weights_(device_tableau(tableau_)),
        gradient_(gradient),
        group_values_(tape.groups.size(), call.stream),
        order_(tape.grouping.ordered() ? tape.grouping.batch : 0, call.stream),
        groups_{group_values_.data(), tape.grouping.count(), tape.grouping.rows, order_.data()},
        size_(std::size_t(tape.grouping.batch) * call.channels()),
        inputs_(std::size_t(tape.grouping.batch) * call.dimension()),
        state_(size_, call.stream),
        points_(tableau_.stages * inputs_, call.stream),
        rates_(tableau_.stages * size_, call.stream),
        rate_bar_(size_, call.stream),
        point_bars_(tableau_.stages * inputs_, call.stream),
        bar_(bar),
        row_sums_(row_sums) {
    group_values_.copy_from(tape.groups, call.stream);
    order_.copy_in(order_of(tape), call.stream);
  }

  // Pulls back all steps.
  void pull() {
    const int most = *std::max_element(tape_.steps.begin(), tape_.steps.end());
    for (int back = 0; back < most; ++back) {
      if (tape_.plan.stop.stop_requested())
        throw Error(ErrorCode::Cancelled, "the pullback was stopped");
      pull(back);
    }
  }

 private:
  // The `back`-th step from the end.
  void pull(int back) {
    const StepTape& steps = tape_.checkpoints.tape();
    const int count = stages_of(tape_, back);
    load_step(groups_, steps, back, call_.stream);
    StepArrays s{groups_,           tape_.grouping.batch, call_.channels(),
                 call_.dimension(), state_.data(),        nullptr,
                 nullptr,           rates_.data()};
    load_states(steps, s, call_.stream);
    step_ = tape_.steps.front() - 1 - back;
    is_kept_ = tape_.kept.holds(step_, count);
    for (int i = 0; i < count; ++i) {
      s.point = points_.data() + i * inputs_;
      call_.net.evaluate(evaluation(i), nullptr, call_.form(),
                         call_.point(groups_, tableau_.c[i], stage_point(s, weights_, i)),
                         call_.columns(s.stage(i)), is_kept_ ? TapeUse::Read : TapeUse::Keep);
    }
    for (int i = count; i-- > 0;) pull_stage(i, count);
    finish_bars(bars(count), call_.stream);
  }

  Evaluation& evaluation(int stage) {
    return is_kept_ ? workspace_.evaluation(stage, tape_.kept.tape(step_, stage))
                    : workspace_.evaluation(stage);
  }

  FieldPoint point(int stage) {
    return call_.point(groups_, tableau_.c[stage],
                       {points_.data() + stage * inputs_, call_.dimension()});
  }

  StepBars bars(int count) {
    return {
        groups_, tape_.grouping.batch, call_.channels(), call_.dimension(), count, rates_.data(),
        bar_,    point_bars_.data(),   rate_bar_.data(), row_sums_};
  }

  void pull_stage(int i, int count) {
    const StepBars s = bars(count);
    pull_stage_input(s, weights_, i, call_.stream);
    PullbackScratch& scratch = workspace_.scratch();
    FieldTargets targets;
    targets.z_bar = point_bars_.data() + i * inputs_;
    targets.z_bar_stride = call_.dimension();
    targets.gradient = gradient_;
    targets.times = gradient_ != nullptr;
    targets.terms = {call_.terms_bar, call_.net.context().terms()};
    call_.net.pullback(evaluation(i), scratch, point(i),
                       call_.columns<const float>(rate_bar_.data()), targets);
    add_row_sums(s, i, tableau_.c[i], scratch.time_bars,
                 targets.times ? scratch.used_time_parts : 0, call_.stream);
  }

  const BlockCall& call_;
  Workspace& workspace_;
  const SolveTape& tape_;
  const Tableau& tableau_;
  const DeviceTableau weights_;
  float* const gradient_;
  DeviceArray<Group> group_values_;
  DeviceArray<int> order_;
  const Groups groups_;
  const std::size_t size_, inputs_;
  DeviceArray<float> state_, points_, rates_, rate_bar_, point_bars_;
  float* const bar_;        // λ (B, S)
  double* const row_sums_;  // (B)
  int step_ = 0;            // number of the first group's step that is pulled back
  bool is_kept_ = false;    // whether the solve kept its tape
};

}  // namespace

void pull_checkpoints(const BlockCall& call, Workspace& workspace, const SolveTape& tape,
                      const BlockRows<float>& rows, double* row_sums, float* gradient,
                      SolveStatistics& statistics) {
  DeviceArray<float> bar(rows.count * call.channels(), call.stream);  // λ = [z̄ | −Δlogp̄ | r̄]
  pack_states(row_arrays(call, rows), bar.data(), call.stream);
  if (const std::optional<FusedPlan> fused = plan_fused_pullback(call))
    pull_fused(*fused, call, tape.groups.data(), tape.checkpoints.tape(), bar.data(), row_sums,
               gradient);
  else
    CheckpointPullback(call, workspace, tape, bar.data(), row_sums, gradient).pull();

  copy_columns(rows.z.data(), call.dimension(), bar.data(), call.channels(), call.dimension(),
               rows.count, call.stream);

  SolveStatistics counts = tape.ranges;
  counts.evaluations = counts.rejected = 0;
  for (std::size_t group = 0; group < tape.steps.size(); ++group) {
    double evaluations = 0;
    for (int back = 0; back < tape.steps[group]; ++back) evaluations += stages_of(tape, back);
    counts.evaluations +=
        evaluations * tape.grouping.rows_in(static_cast<int>(group)) / tape.grouping.batch;
  }
  statistics.add(counts);
}

}  // namespace ffjord::cuda
