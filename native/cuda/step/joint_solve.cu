#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "core/step_control.h"
#include "cuda/step/conclude.h"
#include "cuda/step/joint_solve.h"

namespace ffjord::cuda {
namespace {

constexpr int kFirstBunch = 4, kLargestBunch = 16;
constexpr int kMostTrips = 64;  // so that a solve can be stopped

}  // namespace

void Checkpoints::grow(int least, const Grouping& grouping, const Stream& stream) {
  const int before = tape_.capacity, capacity = std::max(least, 2 * before);
  DeviceArray<float> states(std::size_t(capacity) * grouping.batch * tape_.columns, stream);
  DeviceArray<Step> steps(std::size_t(capacity) * grouping.count(), stream);
  if (before > 0) {
    check(cudaMemcpyAsync(states.data(), states_.data(), states_.size() * sizeof(float),
                          cudaMemcpyDeviceToDevice, stream.get()),
          "copy of checkpoints");
    check(cudaMemcpy2DAsync(steps.data(), capacity * sizeof(Step), steps_.data(),
                            before * sizeof(Step), before * sizeof(Step), grouping.count(),
                            cudaMemcpyDeviceToDevice, stream.get()),
          "copy of checkpoints");
  }
  states_ = std::move(states);
  steps_ = std::move(steps);
  tape_ = {states_.data(), steps_.data(), capacity, tape_.columns};
}

JointSolve::JointSolve(const SolverOptions& options, const Grouping& grouping,
                       const StateShape& shape, bool loops, const Stream& stream)
    : options_(options),
      tableau_(*options.tableau),
      weights_(cuda::device_tableau(tableau_)),
      policy_(step_policy(options)),
      grouping_(grouping),
      shape_(shape),
      loops_(loops),
      stream_(stream),
      norm_part_count_(norm_parts(grouping.batch, grouping.rows)),
      resident_conclusions_(resident_conclusions()),
      outcome_(grouping, stream),
      y_(std::size_t(grouping.batch) * shape.channels, stream),
      end_(y_.size(), stream),
      point_(std::size_t(grouping.batch) * shape.inputs, stream),
      stages_((tableau_.stages + 1) * y_.size(), stream),
      norm_parts_(std::size_t(2) * norm_part_count_, stream),
      order_(grouping.ordered() ? grouping.batch : 0, stream),
      tape_(1, stream),
      kept_(1, stream),
      trips_(1, stream) {}

StepArrays JointSolve::arrays() {
  return {groups(),  grouping_.batch, shape_.channels, shape_.inputs,
          y_.data(), end_.data(),     point_.data(),   stages_.data()};
}

ControlArguments JointSolve::control(const double* shared_norm) {
  ControlArguments s;
  s.groups = groups();
  s.policy = policy_;
  s.batch = grouping_.batch;
  s.parts = norm_part_count_;
  s.stages = tableau_.stages;
  s.fsal = tableau_.fsal;
  s.stability_limit = tableau_.stability_limit;
  s.tape = tape_.data();
  std::copy_n(shape_.tensors, kMostTensors, s.norm.tensors);
  s.norm.rtol = static_cast<float>(options_.rtol);
  s.norm.atol = static_cast<float>(options_.atol);
  s.norm.parts = norm_parts_.data();
  s.norm.row_errors = outcome_.row_errors();
  s.shared_norm = shared_norm;
  s.stops = stops_;
  s.trips = trips_.data();
  return s;
}

// The same where `norms` are judged, whose parts are on the stream.
ControlArguments JointSolve::control_by(int norms, const double* shared_norm) {
  ControlArguments s = control(shared_norm);
  if (sums_) norm_of_ranks_->add_up(*sums_, norms, s);
  return s;
}

void JointSolve::run(RowSystem& system, const SolveRun& run) {
  sums_ = run.sums;
  if (sums_ && !norm_of_ranks_) norm_of_ranks_.emplace(stream_);
  try {
    integrate(system, run);
  } catch (const SolveFailure& failure) {
    if (sums_) await_culprit(*sums_, failure.rows);
    throw;
  }
}

void JointSolve::integrate(RowSystem& system, const SolveRun& run) {
  place_groups(groups(), run.t0, stream_);
  set_stops(run);
  if (run.t0 == run.t1) return outcome_.look();
  if (run.checkpoints && run.checkpoints->tape().capacity == 0)
    run.checkpoints->grow(2 * kLargestBunch, grouping_, stream_);
  set_tape(run.checkpoints);
  kept_.copy_in({&run.kept, 1}, stream_);
  set_order();

  if (tableau_.adaptive)
    start(system, run.t0, run.t1);
  else if (tableau_.fsal)
    system.evaluate(0, 0, start_point(), stages_.data());
  begin_interval(control(nullptr), run.t0, run.t1, stream_);
  const int largest_bunch = sums_ ? 1 : kLargestBunch;
  int bunch = std::min(policy_.adaptive ? kFirstBunch : policy_.steps, largest_bunch);
  for (;;) {
    if (run.stop.stop_requested()) throw Error(ErrorCode::Cancelled, "the solve was stopped");
    if (loops_ && !sums_ && stops_.count == 0)
      run_loop(system);
    else
      for (int i = 0; i < bunch; ++i) attempt(system);
    outcome_.look();
    double left = 0;  // attempts of the slowest group, should its step stay as it is
    bool lacks_room = false;
    for (const Group& group : outcome_.ends()) {
      if (group.can_go_on())
        left = std::max(left, std::abs(group.rule.t1 - group.rule.t) / group.rule.h);
      lacks_room |= group.lacks_room != 0;
    }
    if (left == 0) return outcome_.require_end(policy_, !sums_);
    if (lacks_room) {
      run.checkpoints->grow(0, grouping_, stream_);
      set_tape(run.checkpoints);
    }
    bunch = static_cast<int>(std::clamp(std::ceil(left), 1.0, double(largest_bunch)));
  }
}

void JointSolve::set_stops(const SolveRun& run) {
  std::size_t next = 0;
  for (; next < run.stops.size() && run.stops[next] == run.t0; ++next)
    check(cudaMemcpyAsync(run.stop_states->data() + next * y_.size(), y_.data(),
                          y_.size() * sizeof(float), cudaMemcpyDeviceToDevice, stream_.get()),
          "copy of a stop");
  const std::span<const double> left = run.stops.subspan(next);
  stop_times_ = DeviceArray<double>(left.size(), stream_);
  stop_times_.copy_in(left, stream_);
  stops_ = {};
  if (!left.empty())
    stops_ = {stop_times_.data(), static_cast<int>(left.size()),
              run.stop_states->data() + next * y_.size()};
}

void JointSolve::set_order() {
  if (!order_.empty()) order_rows(groups(), order_.data(), stream_);
}

void JointSolve::set_tape(const Checkpoints* checkpoints) {
  const StepTape tape = checkpoints ? checkpoints->tape() : StepTape();
  tape_.copy_in({&tape, 1}, stream_);
}

void JointSolve::start(RowSystem& system, double t0, double t1) {
  const StepArrays s = arrays();
  system.evaluate(0, 0, start_point(), stages_.data());
  const double* const shared = system.start_norm();
  start_squares(s, control(nullptr).norm, stream_);
  choose_trial(control_by(2, shared), t0, t1, stream_);
  trial_point(s, stream_);
  system.evaluate(RowSystem::kTrialStage, 1, {point_.data(), shape_.inputs}, stage(1));
  change_squares(s, control(nullptr).norm, stream_);
  choose_first_step(control_by(1, system.change_norm()), stream_);
}

void JointSolve::attempt(RowSystem& system) {
  const StepArrays s = arrays();
  begin_attempt(control(nullptr), stream_);
  set_order();
  // Known or not, the first stage of a method that is not FSAL is evaluated: groups may differ in
  // it.
  if (!tableau_.fsal) system.evaluate(0, 0, start_point(), stages_.data());
  for (int i = 1; i < tableau_.stages; ++i)
    system.evaluate(i, tableau_.c[i], stage_point(s, weights_, i), stage(i));
  const double* const shared = tableau_.adaptive ? system.error_norm() : nullptr;
  const ControlArguments c = control(shared);
  // Where the interpolant takes f(t + h, y₁) and no stage is that.
  const bool apart = !tableau_.fsal && stops_.count > 0;
  const auto conclude = [&](Conclusion part) {
    conclude_attempt(s, weights_, c, resident_conclusions_, part, stream_);
  };
  if (sums_) {
    conclude(Conclusion::Measures);
    judge_batch(control_by(1, shared), stream_);
  } else {
    conclude(apart ? Conclusion::Verdict : Conclusion::Both);
  }
  if (apart)
    system.evaluate(tableau_.end_stage(), 1, {end_.data(), shape_.channels},
                    stage(tableau_.end_stage()));
  if (apart || sums_) conclude(Conclusion::Acceptance);
  system.conclude();
}

void JointSolve::run_loop(RowSystem& system) {
  const Trips trips{kMostTrips, 0};
  trips_.copy_in({&trips, 1}, stream_);
  if (!loop_)
    loop_.emplace(stream_, [&](LoopCondition condition) {
      attempt(system);
      end_trip(trips_.data(), condition, stream_);
    });
  loop_->run(stream_);
}

}  // namespace ffjord::cuda
