#include "cuda/grid.h"
#include "cuda/step_rows.h"
#include "cuda/tiling.h"

namespace ffjord::cuda {
namespace {

constexpr int kTileRows = kGroupRows, kLanes = 4, kTileThreads = kTileRows * kLanes;

// The small terms are summed first, and meet y once.
__global__ void combine_stage_point(StepArrays s, const __grid_constant__ DeviceTableau tableau,
                                    int stage) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.inputs), channel = static_cast<int>(entry % s.inputs);
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  if (!group.working) return;
  const std::size_t at = std::size_t(row) * s.channels + channel;
  float sum = 0.f;
  for (int j = 0; j < stage; ++j)
    if (tableau.a[stage][j] != 0.f) sum = fmaf(tableau.a[stage][j], s.stage(j)[at], sum);
  s.point[entry] = s.y[at] + static_cast<float>(group.h) * sum;
}

__global__ void combine_trial_point(StepArrays s) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.inputs), channel = static_cast<int>(entry % s.inputs);
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  const std::size_t at = std::size_t(row) * s.channels + channel;
  s.point[entry] = s.y[at] + static_cast<float>(group.h) * s.stages[at];
}

struct TileSquares {
  double rows[kTileRows][ErrorNorm::kMostTensors];
};

// Sums a tile's squares per tensor, rows in order. `value(at, end)` gives an entry of what is
// measured and sets what y₁ is there.
template <class Value>
__device__ void sum_squares(const StepArrays& s, const ErrorNorm& norm, double* squares,
                            float* row_errors, const Value& value) {
  TileSquares& tile = shared_memory<TileSquares>();
  const int in_tile = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
  const int row = blockIdx.x * kTileRows + in_tile;
  const bool works = row < s.batch && s.groups.of_row(row).working;
  double sums[ErrorNorm::kMostTensors] = {};
  if (works)
    for (int channel = lane; channel < s.channels; channel += kLanes) {
      const std::size_t at = std::size_t(row) * s.channels + channel;
      float end = 0.f;
      const float measured = value(at, end);
      int tensor = 0, first = norm.tensors[0];
      while (tensor < ErrorNorm::kMostTensors && channel >= first)
        if (++tensor < ErrorNorm::kMostTensors) first += norm.tensors[tensor];
      // 0 · y₁ adds nothing, and makes a NaN of a state that is not finite.
      if (tensor == ErrorNorm::kMostTensors) {
        sums[0] += 0 * end;
        continue;
      }
      const float scale = fmaf(norm.rtol, fmaxf(fabsf(s.y[at]), fabsf(end)), norm.atol);
      const double ratio = measured / scale;
      sums[tensor] += ratio * ratio + 0 * end;
    }
  double row_error = 0;
  for (int tensor = 0; tensor < ErrorNorm::kMostTensors; ++tensor) {
    for (int distance = kLanes / 2; distance > 0; distance /= 2)
      sums[tensor] += __shfl_xor_sync(0xffffffffu, sums[tensor], distance);
    if (norm.tensors[tensor] > 0) row_error += sums[tensor] / norm.tensors[tensor];
    if (lane == 0) tile.rows[in_tile][tensor] = sums[tensor];
  }
  if (works && lane == 0 && row_errors) row_errors[row] = static_cast<float>(row_error);
  __syncthreads();
  if (threadIdx.x >= ErrorNorm::kMostTensors) return;
  double sum = 0;
  for (int r = 0; r < kTileRows; ++r) sum += tile.rows[r][threadIdx.x];
  squares[std::size_t(blockIdx.x) * ErrorNorm::kMostTensors + threadIdx.x] = sum;
}

__global__ void __launch_bounds__(kTileThreads)
    finish_attempt(StepArrays s, const __grid_constant__ DeviceTableau tableau, ErrorNorm norm) {
  sum_squares(s, norm, norm.squares, norm.row_errors, [&](std::size_t at, float& end) {
    const float h = static_cast<float>(s.groups.of_row(static_cast<int>(at / s.channels)).h);
    float step = 0.f, error = 0.f;
    for (int i = 0; i < tableau.stages; ++i) {
      const float k = s.stage(i)[at];
      if (tableau.b[i] != 0.f) step = fmaf(tableau.b[i], k, step);
      if (tableau.e[i] != 0.f) error = fmaf(tableau.e[i], k, error);
    }
    end = s.y[at] + h * step;
    s.end[at] = end;
    return h * error;
  });
}

__global__ void __launch_bounds__(kTileThreads) square_start(StepArrays s, ErrorNorm norm) {
  const auto measure = [&](const float* values) {
    return [&s, values](std::size_t at, float& end) {
      end = s.y[at];
      return values[at];
    };
  };
  sum_squares(s, norm, norm.squares, nullptr, measure(s.y));
  __syncthreads();
  sum_squares(s, norm, norm.squares + std::size_t(gridDim.x) * ErrorNorm::kMostTensors,
              norm.row_errors, measure(s.stages));
}

__global__ void __launch_bounds__(kTileThreads) square_change(StepArrays s, ErrorNorm norm) {
  sum_squares(s, norm, norm.squares, norm.row_errors, [&](std::size_t at, float& end) {
    end = s.y[at];
    return s.stage(1)[at] - s.stage(0)[at];
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
                            StepTape tape, StopArrays stops) {
  const std::size_t at = flat_index();
  const int row = static_cast<int>(at / s.channels), channel = static_cast<int>(at % s.channels);
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  if (!group.accepted) return;
  if (tape.states) {
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
  return {dim3(square_tiles(batch)), dim3(kTileThreads), sizeof(TileSquares)};
}

}  // namespace

int square_tiles(int batch) { return tiles_of(batch, kTileRows); }

void combine_point(const StepArrays& s, const DeviceTableau& tableau, int stage,
                   const Stream& stream) {
  launch("combine_stage_point", combine_stage_point, flat_shape(std::size_t(s.batch) * s.inputs),
         stream, s, tableau, stage);
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
  launch("square_start", square_start, tile_rows_shape(s.batch), stream, s, norm);
}

void change_squares(const StepArrays& s, const ErrorNorm& norm, const Stream& stream) {
  launch("square_change", square_change, tile_rows_shape(s.batch), stream, s, norm);
}

void accept_rows(const StepArrays& s, const DeviceTableau& tableau, const StepTape& tape,
                 const StopArrays& stops, const Stream& stream) {
  launch("accept_step", accept_step, flat_shape(s.size()), stream, s, tableau, tape, stops);
}

}  // namespace ffjord::cuda
