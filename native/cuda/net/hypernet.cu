#include "cuda/device/grid.h"
#include "cuda/net/activations.h"
#include "cuda/net/hypernet.h"

namespace ffjord::cuda {
namespace {

constexpr int kUnits = kHypernetUnits;

__device__ float hidden_unit(const HypernetPullback& s, int group, int m) {
  const LayerOffsets& at = s.layer.offsets;
  return rational_tanh(fmaf(s.net.parameters[at.hyper0_weight + m], s.time[group],
                            s.net.parameters[at.hyper0_bias + m]));
}

// One thread for each output p of (b, W) and group: its cotangent into scratch [groups][outputs].
__global__ void collect_outputs(HypernetPullback s) {
  const std::size_t outputs = s.layer.hypernet_outputs(), entry = flat_index();
  const int group = static_cast<int>(entry / outputs);
  const std::size_t p = entry % outputs;
  if (group >= s.groups.count) return;
  float bar = 0.f;
  if (s.groups.data[group].working) {
    if (p < std::size_t(s.layer.out())) {
      for (int tile = 0; tile < s.tiles_a_group; ++tile)
        bar += s.value_sums[(std::size_t(group) * s.tiles_a_group + tile) * s.net.units +
                            s.layer.unit + p];
    } else {
      for (int slice = 0; slice < s.slices_a_group; ++slice)
        bar += s.slices[(std::size_t(group) * s.slices_a_group + slice) * s.layer.weights() + p -
                        s.layer.out()];
    }
  }
  s.scratch[entry] = bar;
}

// One thread for each output: V̄ and d̄.
__global__ void add_output_gradients(HypernetPullback s) {
  const std::size_t outputs = s.layer.hypernet_outputs(), p = flat_index();
  if (p >= outputs) return;
  float bias_bar = 0.f, weight_bar[kUnits] = {};
  for (int group = 0; group < s.groups.count; ++group) {
    if (!s.groups.data[group].working) continue;
    const float bar = s.scratch[group * outputs + p];
    bias_bar += bar;
    for (int m = 0; m < kUnits; ++m)
      weight_bar[m] = fmaf(bar, hidden_unit(s, group, m), weight_bar[m]);
  }
  s.gradient[s.layer.offsets.hyper2_bias + p] += bias_bar;
  for (int m = 0; m < kUnits; ++m)
    s.gradient[s.layer.offsets.hyper2_weight + p * kUnits + m] += weight_bar[m];
}

// One block for each group and hidden unit: the cotangent before its tanh, behind the outputs in
// scratch.
__global__ void sum_hidden(HypernetPullback s) {
  using Parts = double[kFlatThreads];
  Parts& parts = shared_memory<Parts>();
  const std::size_t outputs = s.layer.hypernet_outputs();
  const int group = blockIdx.x / kUnits, m = blockIdx.x % kUnits;
  double sum = 0;
  for (std::size_t p = threadIdx.x; p < outputs; p += kFlatThreads)
    sum += double(s.net.parameters[s.layer.offsets.hyper2_weight + p * kUnits + m]) *
           s.scratch[group * outputs + p];
  parts[threadIdx.x] = sum;
  for (unsigned half = kFlatThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x > 0) return;
  const float hidden = s.groups.data[group].working ? hidden_unit(s, group, m) : 0.f;
  s.scratch[s.groups.count * outputs + blockIdx.x] =
      static_cast<float>((1 - double(hidden) * hidden) * parts[0]);
}

// One thread for each hidden unit.
__global__ void add_hidden_gradients(HypernetPullback s) {
  const int m = static_cast<int>(flat_index());
  if (m >= kUnits) return;
  const float* logits = s.scratch + s.groups.count * s.layer.hypernet_outputs();
  float weight_bar = 0.f, bias_bar = 0.f;
  for (int group = 0; group < s.groups.count; ++group) {
    if (!s.groups.data[group].working) continue;
    weight_bar = fmaf(s.time[group], logits[group * kUnits + m], weight_bar);
    bias_bar += logits[group * kUnits + m];
  }
  s.gradient[s.layer.offsets.hyper0_weight + m] += weight_bar;
  s.gradient[s.layer.offsets.hyper0_bias + m] += bias_bar;
}

// One thread for each row.
__global__ void write_hyper_times(HypernetPullback s) {
  const int row = static_cast<int>(flat_index());
  if (row >= s.batch) return;
  const float* logits = s.scratch + s.groups.count * s.layer.hypernet_outputs();
  float t_bar = 0.f;
  if (row % s.groups.rows == 0)
    for (int m = 0; m < kUnits; ++m)
      t_bar = fmaf(s.net.parameters[s.layer.offsets.hyper0_weight + m],
                   logits[row / s.groups.rows * kUnits + m], t_bar);
  s.time_bars[row] = t_bar;
}

}  // namespace

std::size_t hypernet_scratch(const Layer& layer, int groups) {
  return groups * (layer.hypernet_outputs() + kUnits);
}

void pull_hypernet(const HypernetPullback& s, const Stream& stream) {
  const std::size_t outputs = s.layer.hypernet_outputs();
  launch("collect_outputs", collect_outputs, flat_shape(s.groups.count * outputs), stream, s);
  launch(
      "sum_hidden", sum_hidden,
      LaunchShape{dim3(s.groups.count * kUnits), dim3(kFlatThreads), kFlatThreads * sizeof(double)},
      stream, s);
  if (s.gradient) {
    launch("add_output_gradients", add_output_gradients, flat_shape(outputs), stream, s);
    launch("add_hidden_gradients", add_hidden_gradients, flat_shape(kUnits), stream, s);
  }
  if (s.time_bars) launch("write_hyper_times", write_hyper_times, flat_shape(s.batch), stream, s);
}

}  // namespace ffjord::cuda
