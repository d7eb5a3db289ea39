#include "cuda/block/step_pullback.h"
#include "cuda/device/grid.h"

namespace ffjord::cuda {
namespace {

__global__ void load_inputs(StepTape tape, StepArrays s) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / tape.columns),
            column = static_cast<int>(entry % tape.columns);
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  if (!group.working) return;
  s.y[std::size_t(row) * s.channels + column] =
      tape.states[(std::size_t(group.present) * s.batch + row) * tape.columns + column];
}

__global__ void pull_stage_rates(StepBars s, const __grid_constant__ DeviceTableau tableau,
                                 int stage) {
  const std::size_t at = flat_index();
  const int row = static_cast<int>(at / s.channels), channel = static_cast<int>(at % s.channels);
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  if (!group.working) return;
  float sum = tableau.weight(stage, group.theta) * s.bar[at];
  if (channel < s.inputs)
    for (int j = stage + 1; j < s.stages; ++j)
      if (tableau.a[j][stage] != 0.f)
        sum = fmaf(tableau.a[j][stage],
                   s.point_bars[(std::size_t(j) * s.batch + row) * s.inputs + channel], sum);
  s.rate_bar[at] = static_cast<float>(group.h) * sum;
}

__global__ void sum_row_bars(StepBars s, int stage, double c, const float* time_bars, int parts) {
  const int row = static_cast<int>(flat_index());
  if (row >= s.batch) return;
  const Group& group = s.groups.of_row(row);
  if (!group.working) return;
  const std::size_t first = std::size_t(row) * s.channels;
  double sum = 0, t_bar = 0;
  for (int channel = 0; channel < s.channels; ++channel)
    sum += double(s.rate_bar[first + channel]) *
           s.rates[std::size_t(stage) * s.batch * s.channels + first + channel];
  for (int part = 0; part < parts; ++part) t_bar += time_bars[std::size_t(part) * s.batch + row];
  s.row_sums[row] += sum + (group.t + c * group.h) * t_bar;
}

__global__ void add_point_bars(StepBars s) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.inputs), channel = static_cast<int>(entry % s.inputs);
  if (row >= s.batch || !s.groups.of_row(row).working) return;
  float sum = 0.f;
  for (int i = 0; i < s.stages; ++i)
    sum += s.point_bars[std::size_t(i) * s.batch * s.inputs + entry];
  s.bar[std::size_t(row) * s.channels + channel] += sum;
}

}  // namespace

void load_states(const StepTape& tape, const StepArrays& arrays, const Stream& stream) {
  launch("load_inputs", load_inputs, flat_shape(std::size_t(arrays.batch) * tape.columns), stream,
         tape, arrays);
}

void pull_stage_input(const StepBars& s, const DeviceTableau& tableau, int stage,
                      const Stream& stream) {
  launch("pull_stage_rates", pull_stage_rates, flat_shape(std::size_t(s.batch) * s.channels),
         stream, s, tableau, stage);
}

void add_row_sums(const StepBars& s, int stage, double c, const float* time_bars, int parts,
                  const Stream& stream) {
  launch("sum_row_bars", sum_row_bars, flat_shape(s.batch), stream, s, stage, c, time_bars, parts);
}

void finish_bars(const StepBars& s, const Stream& stream) {
  launch("add_point_bars", add_point_bars, flat_shape(std::size_t(s.batch) * s.inputs), stream, s);
}

}  // namespace ffjord::cuda
