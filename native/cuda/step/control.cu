#include <cmath>

#include "cuda/device/grid.h"
#include "cuda/step/control.h"
#include "cuda/step/group_control.h"

namespace ffjord::cuda {
namespace {

__global__ void place_all(Groups groups, double t, const double* times) {
  const int index = static_cast<int>(flat_index());
  if (index >= groups.count) return;
  Group& group = groups.data[index];
  group = Group();
  group.t = times ? times[index] : t;
  group.working = 1;
}

// The norm of the group that the present thread has, by index. A batch that steps together is
// summed by the fixed tree of a block, and its first thread has the sum; other groups have a part
// and a thread each.
__device__ NormPart part_of_group(const ControlArguments& s, int set, int index) {
  const NormPart* parts = s.norm.parts + std::size_t(set) * s.parts;
  if (s.groups.count > 1) return index < s.groups.count ? parts[index] : NormPart();
  using BlockParts = NormPart[kFlatThreads];
  BlockParts& sums = shared_memory<BlockParts>();
  NormPart sum;
  for (int part = threadIdx.x; part < s.parts; part += kFlatThreads) sum.add(parts[part]);
  sums[threadIdx.x] = sum;
  for (unsigned half = kFlatThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x].add(sums[threadIdx.x + half]);
  }
  __syncthreads();
  sum = sums[0];
  __syncthreads();
  return sum;
}

__device__ double norm_of(const ControlArguments& s, const NormPart& part, int index) {
  return norm_of(part, s.norm, min(s.groups.rows, s.batch - index * s.groups.rows));
}

__device__ double with_shared(const ControlArguments& s, double norm) {
  if (!s.shared_norm || std::isnan(norm)) return norm;
  return *s.shared_norm <= norm ? norm : *s.shared_norm;
}

__global__ void choose_trial_size(const __grid_constant__ ControlArguments s, double t0,
                                  double t1) {
  const int index = static_cast<int>(flat_index());
  const NormPart start = part_of_group(s, 0, index), rate = part_of_group(s, 1, index);
  if (index >= s.groups.count) return;
  const double d0 = norm_of(s, start, index);
  const double d1 = with_shared(s, norm_of(s, rate, index));
  choose_trial(s.groups.data[index], d0, d1, t0, t1);
}

__global__ void choose_first_size(const __grid_constant__ ControlArguments s) {
  const int index = static_cast<int>(flat_index());
  const NormPart part = part_of_group(s, 0, index);
  if (index >= s.groups.count) return;
  choose_first_step(s.groups.data[index], with_shared(s, norm_of(s, part, index)), s.policy);
}

__global__ void begin_intervals(const __grid_constant__ ControlArguments s, double t0, double t1) {
  const int index = static_cast<int>(flat_index());
  if (index >= s.groups.count) return;
  Group& group = s.groups.data[index];
  group.rule.begin(s.policy, t0, t1, group.first_step);
}

__global__ void begin_attempts(const __grid_constant__ ControlArguments s) {
  const int index = static_cast<int>(flat_index());
  if (index >= s.groups.count) return;
  begin_attempt(s.groups.data[index], s.policy, s.stages, s.tape->capacity);
}

// The stops within an accepted step.
__device__ void pass_stops(const ControlArguments& s, Group& group) {
  group.next_stop = group.end_stop;
  for (; group.end_stop < s.stops.count; ++group.end_stop) {
    const double theta = (s.stops.times[group.end_stop] - group.t) / group.h;
    if (theta > group.theta) return;
    if (theta == 1 || group.first_known) continue;
    // f(t + h, y₁), which the interpolant takes, is the next step's first stage.
    group.first_known = 1;
    group.evaluations += 1;
  }
}

__global__ void judge_attempts(const __grid_constant__ ControlArguments s) {
  const int index = static_cast<int>(flat_index());
  const NormPart part = part_of_group(s, 0, index);
  if (index >= s.groups.count || !s.groups.data[index].working) return;
  Group& group = s.groups.data[index];
  const double norm = norm_of(s, part, index);
  const double ratio = s.policy.adaptive ? with_shared(s, norm) : norm;
  const bool accepted = judge_attempt(group, s.policy, ratio, s.fsal, part, s.stability_limit);
  if (group.can_go_on()) s.trips->going = 1;
  if (accepted) pass_stops(s, group);
}

// One block. A thread counts a run of rows, and places them behind those of the threads before it.
__global__ void place_rows(Groups groups, int* order) {
  using Counts = int[kFlatThreads + 1];
  Counts& before = shared_memory<Counts>();
  const int thread = threadIdx.x, run = tiles_of(groups.count, kFlatThreads);
  const int first = min(thread * run, groups.count), end = min(first + run, groups.count);
  int count = 0;
  for (int row = first; row < end; ++row) count += groups.data[row].working;
  before[thread] = count;
  __syncthreads();
  if (thread == 0) {
    int sum = 0;
    for (int i = 0; i < kFlatThreads; ++i) {
      const int next = sum + before[i];
      before[i] = sum;
      sum = next;
    }
    before[kFlatThreads] = sum;
  }
  __syncthreads();
  int working = before[thread], resting = before[kFlatThreads] + first - working;
  for (int row = first; row < end; ++row)
    order[groups.data[row].working ? working++ : resting++] = row;
}

__global__ void finish_trip(Trips* trips, LoopCondition condition) {
  trips->left -= 1;
  if (!trips->going || trips->left == 0) set_loop_condition(condition, false);
  trips->going = 0;
}

__global__ void load_steps(Groups groups, StepTape tape, int back) {
  const int index = static_cast<int>(flat_index());
  if (index >= groups.count) return;
  Group& group = groups.data[index];
  const int step = group.step - 1 - back;
  group.working = step >= 0;
  if (step < 0) return;
  group.present = step;
  const Step& kept = tape.steps[std::size_t(index) * tape.capacity + step];
  group.t = kept.t;
  group.h = kept.h;
  group.theta = kept.theta;
}

// The shape that part_of_group wants.
LaunchShape group_shape(const Groups& groups) {
  LaunchShape shape = flat_shape(groups.count);
  if (groups.count == 1) shape.shared_bytes = kFlatThreads * sizeof(NormPart);
  return shape;
}

}  // namespace

void place_groups(const Groups& groups, double t, const Stream& stream) {
  launch("place_all", place_all, flat_shape(groups.count), stream, groups, t, nullptr);
}

void place_groups(const Groups& groups, const double* times, const Stream& stream) {
  launch("place_all", place_all, flat_shape(groups.count), stream, groups, 0.0, times);
}

void choose_trial(const ControlArguments& s, double t0, double t1, const Stream& stream) {
  launch("choose_trial_size", choose_trial_size, group_shape(s.groups), stream, s, t0, t1);
}

void choose_first_step(const ControlArguments& s, const Stream& stream) {
  launch("choose_first_size", choose_first_size, group_shape(s.groups), stream, s);
}

void begin_interval(const ControlArguments& s, double t0, double t1, const Stream& stream) {
  launch("begin_intervals", begin_intervals, flat_shape(s.groups.count), stream, s, t0, t1);
}

void begin_attempt(const ControlArguments& s, const Stream& stream) {
  launch("begin_attempts", begin_attempts, flat_shape(s.groups.count), stream, s);
}

void judge_attempt(const ControlArguments& s, const Stream& stream) {
  launch("judge_attempts", judge_attempts, group_shape(s.groups), stream, s);
}

void order_rows(const Groups& groups, int* order, const Stream& stream) {
  launch("place_rows", place_rows,
         LaunchShape{dim3(1), dim3(kFlatThreads), (kFlatThreads + 1) * sizeof(int)}, stream, groups,
         order);
}

void end_trip(Trips* trips, LoopCondition condition, const Stream& stream) {
  launch("finish_trip", finish_trip, LaunchShape(), stream, trips, condition);
}

void load_step(const Groups& groups, const StepTape& tape, int back, const Stream& stream) {
  launch("load_steps", load_steps, flat_shape(groups.count), stream, groups, tape, back);
}

}  // namespace ffjord::cuda
