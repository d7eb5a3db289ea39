// The verdict on an attempt of a group, which one thread comes to.
#pragma once

#include "cuda/step/group_control.h"
#include "cuda/step/group_norm.h"

namespace ffjord::cuda {

/// The stops within an accepted step.
__device__ inline void pass_stops(Group& group, const StopArrays& stops) {
  group.next_stop = group.end_stop;
  for (; group.end_stop < stops.count; ++group.end_stop) {
    const double theta = (stops.times[group.end_stop] - group.t) / group.h;
    if (theta > group.theta) return;
    if (theta == 1 || group.first_known) continue;
    // f(t + h, y₁), which the interpolant takes, is the next step's first stage.
    group.first_known = 1;
    group.evaluations += 1;
  }
}

/// `part`: what the rows of the group, of that index, add to its norm; `tells`: whether this thread
/// says that the loop goes on.
__device__ inline void judge_group(const ControlArguments& c, Group& group, const NormPart& part,
                                   int index, bool tells) {
  const double norm = group_norm(c, part, index);
  const double ratio = c.policy.adaptive ? with_shared(c, norm) : norm;
  const bool accepted = judge_attempt(group, c.policy, ratio, c.fsal, part, c.stability_limit);
  if (tells && group.can_go_on()) c.trips->going = 1;
  if (accepted) pass_stops(group, c.stops);
}

}  // namespace ffjord::cuda
