#include "cuda/device/grid.h"
#include "cuda/net/closed_trace.h"

namespace ffjord::cuda {
namespace {

__global__ void scale_by_row(ClosedPullback s, const float* from, int rows, int columns,
                             float* values) {
  const std::size_t entry = flat_index(), row = entry / columns, column = entry % columns;
  if (row >= std::size_t(s.batch)) return;
  const float v = s.divergence_bar ? s.divergence_bar[row * s.bar_stride] : 0.f;
  values[entry] = v * from[row / rows * columns + column];
}

__device__ float gate_of(const ClosedPullback& s, int set, int i) {
  return s.output_gate ? s.output_gate[std::size_t(set) * s.gate_stride + i] : 1.f;
}
__device__ bool rests(const ClosedPullback& s, int set) {
  return s.output_gate && !s.groups.data[set].working;
}
__device__ float matrix_bar(const ClosedPullback& s, int set, std::size_t entry, std::size_t size) {
  float sum = 0.f;
  for (int slice = 0; slice < s.slices_a_set; ++slice)
    sum += s.slices[(std::size_t(set) * s.slices_a_set + slice) * size + entry];
  return sum;
}

// scratch: R̄ᵀ [sets][H₂][H₁], then Y = W₃ R̄ᵀ [sets][D][H₁].
__device__ float* y_of(const ClosedPullback& s, const Layer& first, const Layer& middle) {
  return s.scratch + std::size_t(s.sets) * middle.out * first.out;
}

// R̄ᵀ = M̄ ∘ W₂, W̄₂ += M̄ ∘ Rᵀ; one thread an entry of (H₂, H₁).
__global__ void pull_matrix(ClosedPullback s, Layer first, Layer middle) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out) * first.out;
  if (entry >= size) return;
  const float w2 = (s.net.packed + middle.packed + middle.weights())[entry];
  float sum = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    if (rests(s, set)) continue;
    const float bar = matrix_bar(s, set, entry, size);
    s.scratch[set * size + entry] = bar * w2;
    sum = fmaf(bar, s.closed.r[set * size + entry], sum);
  }
  if (!s.gradient) return;
  const std::size_t j = entry / first.out, k = entry % first.out;
  s.gradient[middle.weight_offset() + j * middle.weight_stride() + k] += s.scale * sum;
}

// Y = W₃ R̄ᵀ, W̄₁[k, i] += g_i Y[i, k]; one thread an entry of (D, H₁).
__global__ void pull_first(ClosedPullback s, Layer first, Layer middle, Layer last) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out) * first.out;
  const int i = static_cast<int>(entry / first.out), k = static_cast<int>(entry % first.out);
  if (i >= s.net.dimension) return;
  const float* w3 = s.net.packed + last.packed + last.weights() + std::size_t(i) * middle.out;
  float sum = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    if (rests(s, set)) continue;
    float y = 0.f;
    for (int j = 0; j < middle.out; ++j)
      y = fmaf(w3[j], s.scratch[set * size + std::size_t(j) * first.out + k], y);
    y_of(s, first, middle)[(std::size_t(set) * s.net.dimension + i) * first.out + k] = y;
    sum = fmaf(gate_of(s, set, i), y, sum);
  }
  if (s.gradient)
    s.gradient[first.weight_offset() + std::size_t(k) * first.weight_stride() + i] += s.scale * sum;
}

// W̄₃[i, j] += g_i Σ_k R̄ᵀ[j, k] W₁[k, i]; one thread an entry of (D, H₂).
__global__ void pull_last(ClosedPullback s, Layer first, Layer middle, Layer last) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out) * first.out;
  const int i = static_cast<int>(entry / middle.out), j = static_cast<int>(entry % middle.out);
  if (i >= s.net.dimension) return;
  const float* w1 = s.net.packed + first.packed + std::size_t(i) * first.out;
  float sum = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    if (rests(s, set)) continue;
    float x = 0.f;
    for (int k = 0; k < first.out; ++k)
      x = fmaf(s.scratch[set * size + std::size_t(j) * first.out + k], w1[k], x);
    sum = fmaf(gate_of(s, set, i), x, sum);
  }
  s.gradient[last.weight_offset() + std::size_t(i) * last.weight_stride() + j] += s.scale * sum;
}

// One hidden layer: W̄₁[j, i] += c̄_j g_i W₂[i, j], W̄₂[i, j] += c̄_j g_i W₁[j, i]; scratch: c̄_j W₁ W₂
// [sets][D][H₁]. One thread an entry of (D, H₁).
__global__ void pull_one_hidden(ClosedPullback s, Layer first, Layer last) {
  const std::size_t entry = flat_index();
  const int i = static_cast<int>(entry / first.out), j = static_cast<int>(entry % first.out);
  if (i >= s.net.dimension) return;
  const float w1 = (s.net.packed + first.packed)[entry];
  const float w2 = (s.net.packed + last.packed + last.weights())[entry];
  float sum = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    if (rests(s, set)) continue;
    const float bar = matrix_bar(s, set, j, first.out);
    s.scratch[std::size_t(set) * s.net.dimension * first.out + entry] = bar * w1 * w2;
    sum = fmaf(bar, gate_of(s, set, i), sum);
  }
  if (!s.gradient) return;
  s.gradient[first.weight_offset() + std::size_t(j) * first.weight_stride() + i] +=
      s.scale * sum * w2;
  s.gradient[last.weight_offset() + std::size_t(i) * last.weight_stride() + j] +=
      s.scale * sum * w1;
}

// ḡ_i = Σ_k products[set][i][k] (times W₁[k, i] where there are two hidden layers), to the logit
// and its parameters; one thread an output.
__global__ void pull_output_gate(ClosedPullback s, Layer first, Layer last, const float* products,
                                 bool times_first, float* logits) {
  const int i = static_cast<int>(flat_index());
  if (i >= s.net.dimension) return;
  const float* w1 = s.net.packed + first.packed + std::size_t(i) * first.out;
  float bias_bar = 0.f, weight_bar = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    float logit = 0.f;
    if (!rests(s, set)) {
      const float* row = products + (std::size_t(set) * s.net.dimension + i) * first.out;
      for (int k = 0; k < first.out; ++k) logit = fmaf(row[k], times_first ? w1[k] : 1.f, logit);
      const float gate = gate_of(s, set, i);
      logit *= gate * (1.f - gate);
      bias_bar += logit;
      weight_bar = fmaf(s.time[set], logit, weight_bar);
    }
    logits[std::size_t(set) * s.net.dimension + i] = logit;
  }
  if (!s.gradient) return;
  s.gradient[last.offsets.gate_bias + i] += s.scale * bias_bar;
  s.gradient[last.offsets.gate_weight + i] += s.scale * weight_bar;
}

// t̄ of a group stands at its first row.
__global__ void write_gate_times(ClosedPullback s, Layer last, const float* logits) {
  const int row = static_cast<int>(flat_index());
  if (row >= s.batch) return;
  float t_bar = 0.f;
  if (row % s.groups.rows == 0)
    for (int i = 0; i < s.net.dimension; ++i)
      t_bar = fmaf(s.net.parameters[last.offsets.gate_weight + i],
                   logits[std::size_t(row / s.groups.rows) * s.net.dimension + i], t_bar);
  s.time_bars[row] = t_bar;
}

}  // namespace

// R̄ᵀ of two hidden layers, the products whose sums are ḡ, the logits.
std::size_t closed_scratch(const std::vector<Layer>& layers, int sets) {
  const std::size_t dimension = layers.back().out, width = layers.front().out;
  const std::size_t matrix = layers.size() == 3 ? layers[1].out * width : 0;
  return sets * (matrix + dimension * width + dimension);
}

void scale_rows(const ClosedPullback& s, const float* from, int rows, int columns, float* values,
                const Stream& stream) {
  launch("scale_by_row", scale_by_row, flat_shape(std::size_t(s.batch) * columns), stream, s, from,
         rows, columns, values);
}

void pull_closed(const ClosedPullback& s, const std::vector<Layer>& layers, const Stream& stream) {
  const Layer &first = layers.front(), &last = layers.back();
  const bool two = layers.size() == 3;
  const std::size_t dimension = last.out, width = first.out;
  float* products = s.scratch;
  if (two) {
    const Layer& middle = layers[1];
    products += std::size_t(s.sets) * middle.out * width;
    launch("pull_matrix", pull_matrix, flat_shape(std::size_t(middle.out) * width), stream, s,
           first, middle);
    launch("pull_first", pull_first, flat_shape(dimension * width), stream, s, first, middle, last);
    if (s.gradient)
      launch("pull_last", pull_last, flat_shape(dimension * middle.out), stream, s, first, middle,
             last);
  } else {
    launch("pull_one_hidden", pull_one_hidden, flat_shape(dimension * width), stream, s, first,
           last);
  }
  if (!s.output_gate) return;
  float* logits = products + s.sets * dimension * width;
  launch("pull_output_gate", pull_output_gate, flat_shape(dimension), stream, s, first, last,
         products, two, logits);
  if (s.time_bars)
    launch("write_gate_times", write_gate_times, flat_shape(s.batch), stream, s, last, logits);
}

}  // namespace ffjord::cuda
