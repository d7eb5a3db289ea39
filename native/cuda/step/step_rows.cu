#include <algorithm>
#include <cmath>

#include "cuda/device/grid.h"
#include "cuda/step/step_rows.h"
#include "cuda/step/tableau_sums.h"

namespace ffjord::cuda {
namespace {

constexpr int kTileRows = kGroupRows, kLanes = 4, kTileThreads = kTileRows * kLanes;

__global__ void combine_stage_point(Groups groups, int batch, int inputs,
                                    const __grid_constant__ StagePoint point) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / inputs), channel = static_cast<int>(entry % inputs);
  if (groups.works(row, batch)) point.store(groups, row, channel);
}

__global__ void combine_trial_point(StepArrays s) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.inputs), channel = static_cast<int>(entry % s.inputs);
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  const std::size_t at = std::size_t(row) * s.channels + channel;
  s.point[entry] = s.y[at] + static_cast<float>(group.h) * s.stages[at];
}

// Adds up over the lanes of a row; each gets the sum.
__device__ double sum_lanes(double value) {
  for (int distance = kLanes / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// Sums the parts of a tile's rows. `measure(at)` gives the entry of a row and channel.
template <class Measure>
__device__ void sum_squares(const StepArrays& s, const ErrorNorm& norm, NormPart* parts,
                            const Measure& measure) {
  using TileParts = NormPart[kTileRows];
  TileParts& rows = shared_memory<TileParts>();
  const int in_tile = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
  const int row = blockIdx.x * kTileRows + in_tile;
  const std::size_t first = std::size_t(row) * s.channels;
  const NormPart part = part_of_row<kLanes>(
      norm, row, s.groups.works(row, s.batch) ? s.channels : 0, lane, s.y + first,
      [&](int channel) { return measure(first + channel); }, sum_lanes);
  if (s.groups.rows == 1) {
    if (lane == 0 && row < s.batch) parts[row] = part;
    return;
  }
  if (lane == 0) rows[in_tile] = part;
  for (int half = kTileRows / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane == 0 && in_tile < half) rows[in_tile].add(rows[in_tile + half]);
  }
  if (threadIdx.x == 0) parts[blockIdx.x] = rows[0];
}

__global__ void __launch_bounds__(kTileThreads)
    finish_attempt(StepArrays s, const __grid_constant__ DeviceTableau tableau, ErrorNorm norm) {
  sum_squares(s, norm, norm.parts, [&](std::size_t at) {
    const float h = static_cast<float>(s.groups.of_row(static_cast<int>(at / s.channels)).h);
    const Measured entry =
        measure_attempt(tableau, h, s.y[at], [&](int i) { return s.stage(i)[at]; });
    s.end[at] = entry.end;
    return entry;
  });
}

__global__ void __launch_bounds__(kTileThreads)
    square_start(StepArrays s, ErrorNorm norm, int parts) {
  const auto measure = [&](const float* values) {
    return [&s, values](std::size_t at) { return Measured{values[at], s.y[at]}; };
  };
  sum_squares(s, norm, norm.parts, measure(s.y));
  __syncthreads();
  sum_squares(s, norm, norm.parts + parts, measure(s.stages));
}

__global__ void __launch_bounds__(kTileThreads) square_change(StepArrays s, ErrorNorm norm) {
  sum_squares(s, norm, norm.parts, [&](std::size_t at) {
    return Measured{s.stage(1)[at] - s.stage(0)[at], s.y[at]};
  });
}

__device__ float interpolate(const StepArrays& s, const DeviceTableau& tableau, std::size_t at,
                             double h, double theta) {
  float sum = 0.f;
  for (int i = 0; i <= tableau.end_stage(); ++i)
    if (const float weight = tableau.weight(i, theta); weight != 0.f)
      sum = fmaf(weight, s.stage(i)[at], sum);
  return s.y[at] + static_cast<float>(h) * sum;
}

__global__ void accept_step(StepArrays s, const __grid_constant__ DeviceTableau tableau,
                            const StepTape* steps, StopArrays stops) {
  const std::size_t at = flat_index();
  const int row = static_cast<int>(at / s.channels), channel = static_cast<int>(at % s.channels);
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  if (!group.accepted) return;
  if (const StepTape tape = *steps; tape.states) {
    const int step = group.step - 1;
    if (channel < tape.columns)
      tape.states[(std::size_t(step) * s.batch + row) * tape.columns + channel] = s.y[at];
    if (channel == 0 && row % s.groups.rows == 0)
      tape.steps[std::size_t(row / s.groups.rows) * tape.capacity + step] = {group.t, group.h,
                                                                             group.theta};
  }
  for (int stop = group.next_stop; stop < group.end_stop; ++stop)
    stops.states[stop * s.size() + at] =
        interpolate(s, tableau, at, group.h, (stops.times[stop] - group.t) / group.h);
  s.y[at] = group.theta == 1 ? s.end[at] : interpolate(s, tableau, at, group.h, group.theta);
  if (tableau.fsal) s.stages[at] = s.stage(tableau.stages - 1)[at];
}

LaunchShape tile_rows_shape(int batch) {
  return {dim3(tiles_of(batch, kTileRows)), dim3(kTileThreads), kTileRows * sizeof(NormPart)};
}

}  // namespace

int norm_parts(int batch, int rows) { return rows == 1 ? batch : tiles_of(batch, kTileRows); }

StagePoint stage_point(const StepArrays& s, const DeviceTableau& tableau, int stage) {
  StagePoint point;
  point.values = s.point;
  point.stride = s.inputs;
  point.y = s.y;
  point.rates = s.stages;
  point.channels = s.channels;
  point.count = stage;
  point.size = s.size();
  std::copy_n(tableau.a[stage], kMaxStages, point.a);
  return point;
}

void combine_point(const Groups& groups, int batch, int inputs, StagePoint& point,
                   const Stream& stream) {
  launch("combine_stage_point", combine_stage_point, flat_shape(std::size_t(batch) * inputs),
         stream, groups, batch, inputs, point);
  point.y = nullptr;
}

void trial_point(const StepArrays& s, const Stream& stream) {
  launch("combine_trial_point", combine_trial_point, flat_shape(std::size_t(s.batch) * s.inputs),
         stream, s);
}

void finish_rows(const StepArrays& s, const DeviceTableau& tableau, const ErrorNorm& norm,
                 const Stream& stream) {
  launch("finish_attempt", finish_attempt, tile_rows_shape(s.batch), stream, s, tableau, norm);
}

void start_squares(const StepArrays& s, const ErrorNorm& norm, const Stream& stream) {
  launch("square_start", square_start, tile_rows_shape(s.batch), stream, s, norm,
         norm_parts(s.batch, s.groups.rows));
}

void change_squares(const StepArrays& s, const ErrorNorm& norm, const Stream& stream) {
  launch("square_change", square_change, tile_rows_shape(s.batch), stream, s, norm);
}

void accept_rows(const StepArrays& s, const DeviceTableau& tableau, const StepTape* tape,
                 const StopArrays& stops, const Stream& stream) {
  launch("accept_step", accept_step, flat_shape(s.size()), stream, s, tableau, tape, stops);
}

}  // namespace ffjord::cuda
