#include <cmath>

#include "cuda/control.h"
#include "cuda/grid.h"
#include "cuda/group_control.h"
#include "cuda/tiling.h"

namespace ffjord::cuda {
namespace {

constexpr int kTensors = ErrorNorm::kMostTensors;

__global__ void place_all(Groups groups, double t, const double* times) {
  const int index = static_cast<int>(flat_index());
  if (index >= groups.count) return;
  Group& group = groups.data[index];
  group = Group();
  group.t = times ? times[index] : t;
  group.working = 1;
}

// Sums [tensor] over the tiles of a group, by the fixed tree of the block's threads.
struct NormMemory {
  double parts[kFlatThreads][kTensors];
};

// Set `set` of the squares; every thread gets the norm. A NaN stays.
__device__ double group_norm(const ControlArguments& s, int set, NormMemory& memory) {
  const int group = blockIdx.x;
  const int first = group * (s.groups.count == 1 ? s.tiles : 1);
  const int end = s.groups.count == 1 ? s.tiles : first + 1;
  double* sums = memory.parts[threadIdx.x];
  for (int tensor = 0; tensor < kTensors; ++tensor) {
    sums[tensor] = 0;
    for (int tile = first + threadIdx.x; tile < end; tile += kFlatThreads)
      sums[tensor] += s.norm.squares[(std::size_t(set) * s.tiles + tile) * kTensors + tensor];
  }
  for (unsigned half = kFlatThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      for (int tensor = 0; tensor < kTensors; ++tensor)
        sums[tensor] += memory.parts[threadIdx.x + half][tensor];
  }
  __syncthreads();
  const double rows = min(s.groups.rows, s.batch - group * s.groups.rows);
  double largest = 0;
  for (int tensor = 0; tensor < kTensors; ++tensor) {
    if (s.norm.tensors[tensor] == 0) continue;
    const double rms = sqrt(memory.parts[0][tensor] / (rows * s.norm.tensors[tensor]));
    if (!(rms <= largest)) largest = rms;
    if (std::isnan(rms)) break;
  }
  __syncthreads();
  return largest;
}

__device__ double with_shared(const ControlArguments& s, double norm) {
  if (!s.shared_norm || std::isnan(norm)) return norm;
  return *s.shared_norm <= norm ? norm : *s.shared_norm;
}

__global__ void choose_trial_size(const __grid_constant__ ControlArguments s, double t0,
                                  double t1) {
  NormMemory& memory = shared_memory<NormMemory>();
  const double d0 = group_norm(s, 0, memory);
  const double d1 = with_shared(s, group_norm(s, 1, memory));
  if (threadIdx.x > 0) return;
  choose_trial(s.groups.data[blockIdx.x], d0, d1, t0, t1);
}

__global__ void choose_first_size(const __grid_constant__ ControlArguments s) {
  const double change = with_shared(s, group_norm(s, 0, shared_memory<NormMemory>()));
  if (threadIdx.x > 0) return;
  choose_first_step(s.groups.data[blockIdx.x], change, s.policy);
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
  begin_attempt(s.groups.data[index], s.policy, s.stages, s.tape_capacity);
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
  Group& group = s.groups.data[blockIdx.x];
  const double norm = group_norm(s, 0, shared_memory<NormMemory>());
  if (threadIdx.x > 0 || !group.working) return;
  const double ratio = s.policy.adaptive ? with_shared(s, norm) : norm;
  if (judge_attempt(group, s.policy, ratio, s.fsal)) pass_stops(s, group);
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

LaunchShape group_shape(const Groups& groups) {
  return {dim3(groups.count), dim3(kFlatThreads), sizeof(NormMemory)};
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

void load_step(const Groups& groups, const StepTape& tape, int back, const Stream& stream) {
  launch("load_steps", load_steps, flat_shape(groups.count), stream, groups, tape, back);
}

}  // namespace ffjord::cuda
