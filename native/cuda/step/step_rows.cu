#include <algorithm>
#include <cmath>

#include "cuda/device/grid.h"
#include "cuda/step/step_rows.h"
#include "cuda/step/tableau_sums.h"
#include "cuda/step/tile_sums.h"

namespace ffjord::cuda {
namespace {

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

// Sums the parts of a tile's rows. `measure(at)` gives the entry of a row and channel.
template <class Measure>
__device__ void sum_squares(const StepArrays& s, const ErrorNorm& norm, NormPart* parts,
                            const Measure& measure) {
  TileParts& sums = shared_memory<TileParts>();
  const int rows = tile_rows(s.groups.rows);
  for (int r = warp_index(); r < rows; r += kTileWarps) {
    const int row = blockIdx.x * rows + r;
    const std::size_t first = std::size_t(row) * s.channels;
    const NormPart part =
        warp_part(norm, row, s.channels, s.groups.works(row, s.batch), s.y + first,
                  [&](int channel) { return measure(first + channel); });
    if (lane_index() > 0) continue;
    sums[r] = part;
    if (s.groups.rows == 1 && row < s.batch) parts[row] = part;
  }
  if (s.groups.rows == 1) return;
  const NormPart& sum = sum_tile(sums, rows);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
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

LaunchShape tiles_shape(const StepArrays& s) {
  return {dim3(tiles_of(s.batch, tile_rows(s.groups.rows))), dim3(kTileThreads), sizeof(TileParts)};
}

}  // namespace

int norm_parts(int batch, int rows) { return rows == 1 ? batch : tiles_of(batch, tile_rows(rows)); }

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

void start_squares(const StepArrays& s, const ErrorNorm& norm, const Stream& stream) {
  launch("square_start", square_start, tiles_shape(s), stream, s, norm,
         norm_parts(s.batch, s.groups.rows));
}

void change_squares(const StepArrays& s, const ErrorNorm& norm, const Stream& stream) {
  launch("square_change", square_change, tiles_shape(s), stream, s, norm);
}

}  // namespace ffjord::cuda
