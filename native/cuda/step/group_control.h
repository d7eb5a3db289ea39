// What step control does to one group, by core/step_rule.h; one thread carries it out.
#pragma once

#include <cmath>

#include "core/stiffness.h"
#include "cuda/step/group.h"
#include "cuda/step/norm_part.h"

namespace ffjord::cuda {

/// d0, d1: norms of y₀ and of f₀. Sets the trial's h, or not_finite_at_start.
__device__ inline void choose_trial(Group& group, double d0, double d1, double t0, double t1) {
  group.start_norms[0] = d0;
  group.start_norms[1] = d1;
  group.evaluations += 2;
  group.first_known = 1;
  group.not_finite_at_start = !(std::isfinite(d0) && std::isfinite(d1));
  group.t = t0;
  group.h =
      group.not_finite_at_start ? 0 : (t1 < t0 ? -1 : 1) * StepRule<double>::trial_step(d0, d1);
}

/// change: norm of f₁ − f₀ of the trial.
__device__ inline void choose_first_step(Group& group, double change, const StepPolicy& policy) {
  const double h0 = fabs(group.h);
  group.first_step =
      StepRule<double>::first_step(h0, group.start_norms[1], change / h0, policy.order);
}

/// The next attempt; a group that is done or cannot go on rests. tape_capacity 0: no tape.
__device__ inline void begin_attempt(Group& group, const StepPolicy& policy, int stages,
                                     int tape_capacity) {
  StepRule<double>& rule = group.rule;
  group.accepted = 0;
  group.working = 0;
  group.lacks_room = 0;
  if (!group.can_go_on()) return;
  if (tape_capacity > 0 && group.step == tape_capacity) {
    group.lacks_room = 1;
    return;
  }
  const double start = rule.t;
  if (!rule.attempt(policy)) return;
  group.working = 1;
  group.t = start;
  group.h = rule.attempted;
  const double left = rule.t1 - start;
  group.theta = fabs(group.h) > fabs(left) ? left / group.h : 1;
  group.evaluations += stages - (group.first_known ? 1 : 0);
}

/// ratio: the error norm of the attempt, of which `part` are the sums. Returns whether it is
/// accepted.
__device__ inline bool judge_attempt(Group& group, const StepPolicy& policy, double ratio,
                                     bool fsal, const NormPart& part, double stability_limit) {
  group.accepted = group.rule.judge(policy, ratio);
  group.first_known = group.accepted ? fsal : 1;
  if (!group.accepted) return false;
  const StepRule<double>& rule = group.rule;
  group.first_step = rule.h;
  group.step += 1;
  group.stiffness_sum +=
      stiffness(stability_limit, rule.attempted, part.rate_change, part.argument_change);
  if (fabs(rule.attempted) == rule.smallest_step) group.smallest_row = part.worst_row;
  return true;
}

}  // namespace ffjord::cuda
