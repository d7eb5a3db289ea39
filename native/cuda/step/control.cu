#include <cmath>

#include "cuda/device/grid.h"
#include "cuda/step/control.h"
#include "cuda/step/verdict.h"

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

// The part of the group that the present thread has, by index. That of a batch which steps together
// is summed by all threads of a block.
__device__ NormPart part_of_group(const ControlArguments& s, int set, int index) {
  const NormPart* parts = s.norm.parts + std::size_t(set) * s.parts;
  if (s.groups.count > 1) return index < s.groups.count ? parts[index] : NormPart();
  return sum_parts(parts, s.parts, shared_memory<NormPart[kFlatThreads]>());
}

__global__ void choose_trial_size(const __grid_constant__ ControlArguments s, double t0,
                                  double t1) {
  const int index = static_cast<int>(flat_index());
  const NormPart start = part_of_group(s, 0, index), rate = part_of_group(s, 1, index);
  if (index >= s.groups.count) return;
  const double d0 = group_norm(s, start, index);
  const double d1 = with_shared(s, group_norm(s, rate, index));
  choose_trial(s.groups.data[index], d0, d1, t0, t1);
}

__global__ void choose_first_size(const __grid_constant__ ControlArguments s) {
  const int index = static_cast<int>(flat_index());
  const NormPart part = part_of_group(s, 0, index);
  if (index >= s.groups.count) return;
  choose_first_step(s.groups.data[index], with_shared(s, group_norm(s, part, index)), s.policy);
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

__global__ void judge_batches(const __grid_constant__ ControlArguments s) {
  const NormPart part = part_of_group(s, 0, 0);
  if (flat_index() == 0 && s.groups.data[0].working)
    judge_group(s, s.groups.data[0], part, 0, true);
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

void judge_batch(const ControlArguments& s, const Stream& stream) {
  launch("judge_batches", judge_batches, group_shape(s.groups), stream, s);
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
