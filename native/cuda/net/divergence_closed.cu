#include "cuda/device/grid.h"
#include "cuda/net/divergence_closed.h"
#include "cuda/net/weight_gradient.h"

namespace ffjord::cuda {
namespace {

__device__ float output_gate_at(const float* output_gate, int gate_stride, int set, int i) {
  return output_gate ? output_gate[std::size_t(set) * gate_stride + i] : 1.f;
}

// c_j = Σ_i W₁[j, i] g[i] W₂[i, j]; one thread for each entry of (sets, H₁).
__global__ void set_closed_one(NetArrays net, Layer first, Layer last, const float* output_gate,
                               int gate_stride, int count, ClosedArrays closed) {
  const std::size_t entry = flat_index();
  const int set = static_cast<int>(entry / first.out()), j = static_cast<int>(entry % first.out());
  if (set >= count) return;
  const float* w1 = net.packed + first.packed;                  // (D, H₁)
  const float* w2 = net.packed + last.packed + last.weights();  // (D, H₁)
  float sum = 0.f;
  for (int i = 0; i < net.dimension; ++i)
    sum = fmaf(
        w1[std::size_t(i) * first.out() + j] * output_gate_at(output_gate, gate_stride, set, i),
        w2[std::size_t(i) * first.out() + j], sum);
  closed.c[entry] = sum;
}

// Rᵀ[j, k] = Σ_i W₃[i, j] g[i] W₁[k, i] and M = W₂ ∘ Rᵀ; one thread for each entry of (sets, H₂,
// H₁).
__global__ void set_closed_two(NetArrays net, Layer first, Layer middle, Layer last,
                               const float* output_gate, int gate_stride, int count,
                               ClosedArrays closed) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out()) * first.out();
  const int set = static_cast<int>(entry / size);
  const int j = static_cast<int>(entry % size / first.out()),
            k = static_cast<int>(entry % first.out());
  if (set >= count) return;
  const float* w1 = net.packed + first.packed;                      // (D, H₁)
  const float* w2 = net.packed + middle.packed + middle.weights();  // (H₂, H₁)
  const float* w3 = net.packed + last.packed + last.weights();      // (D, H₂)
  float sum = 0.f;
  for (int i = 0; i < net.dimension; ++i)
    sum = fmaf(
        w3[std::size_t(i) * middle.out() + j] * output_gate_at(output_gate, gate_stride, set, i),
        w1[std::size_t(i) * first.out() + k], sum);
  const float m = w2[std::size_t(j) * first.out() + k] * sum;
  closed.r[entry] = sum;
  closed.m[entry] = m;
  closed.m_transposed[set * size + std::size_t(k) * middle.out() + j] = m;
}

struct ClosedPullback {
  NetArrays net;
  Groups groups;
  int batch = 0;
  int sets = 1;  ///< groups where the output is gated, else 1
  ClosedArrays closed;
  const float* divergence_bar = nullptr;  ///< (B), `bar_stride` apart; null: zero
  int bar_stride = 1;
  const float* slices = nullptr;  ///< [slices][M̄ or c̄]: M̄ = Σ v d₂ d₁ᵀ (H₂, H₁), c̄ = Σ v d₁ (H₁)
  int slices_a_set = 1;
  const float* output_gate = nullptr;  ///< null: ones
  int gate_stride = 0;
  const float* time = nullptr;  ///< [groups]
  float* scratch = nullptr;     ///< closed_scratch(…) floats
  float* time_bars = nullptr;   ///< (B): t̄, at the first row of each group; null: not wanted
  float* gradient = nullptr;    ///< null: not wanted
};

__global__ void scale_by_row(ClosedPullback s, const float* from, int rows, int columns,
                             float* values) {
  const std::size_t entry = flat_index(), row = entry / columns, column = entry % columns;
  if (row >= std::size_t(s.batch)) return;
  const float v = s.divergence_bar ? s.divergence_bar[row * s.bar_stride] : 0.f;
  values[entry] = from ? v * from[row / rows * columns + column] : v;
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
  return s.scratch + std::size_t(s.sets) * middle.out() * first.out();
}

// R̄ᵀ = M̄ ∘ W₂, W̄₂ += M̄ ∘ Rᵀ; one thread for each entry of (H₂, H₁).
__global__ void pull_matrix(ClosedPullback s, Layer first, Layer middle) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out()) * first.out();
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
  const std::size_t j = entry / first.out(), k = entry % first.out();
  s.gradient[middle.weight_offset() + j * middle.weight_stride() + k] += sum;
}

// Y = W₃ R̄ᵀ, W̄₁[k, i] += g_i Y[i, k]; one thread for each entry of (D, H₁).
__global__ void pull_first(ClosedPullback s, Layer first, Layer middle, Layer last) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out()) * first.out();
  const int i = static_cast<int>(entry / first.out()), k = static_cast<int>(entry % first.out());
  if (i >= s.net.dimension) return;
  const float* w3 = s.net.packed + last.packed + last.weights() + std::size_t(i) * middle.out();
  float sum = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    if (rests(s, set)) continue;
    float y = 0.f;
    for (int j = 0; j < middle.out(); ++j)
      y = fmaf(w3[j], s.scratch[set * size + std::size_t(j) * first.out() + k], y);
    y_of(s, first, middle)[(std::size_t(set) * s.net.dimension + i) * first.out() + k] = y;
    sum = fmaf(gate_of(s, set, i), y, sum);
  }
  if (s.gradient)
    s.gradient[first.weight_offset() + std::size_t(k) * first.weight_stride() + i] += sum;
}

// W̄₃[i, j] += g_i Σ_k R̄ᵀ[j, k] W₁[k, i]; one thread for each entry of (D, H₂).
__global__ void pull_last(ClosedPullback s, Layer first, Layer middle, Layer last) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out()) * first.out();
  const int i = static_cast<int>(entry / middle.out()), j = static_cast<int>(entry % middle.out());
  if (i >= s.net.dimension) return;
  const float* w1 = s.net.packed + first.packed + std::size_t(i) * first.out();
  float sum = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    if (rests(s, set)) continue;
    float x = 0.f;
    for (int k = 0; k < first.out(); ++k)
      x = fmaf(s.scratch[set * size + std::size_t(j) * first.out() + k], w1[k], x);
    sum = fmaf(gate_of(s, set, i), x, sum);
  }
  s.gradient[last.weight_offset() + std::size_t(i) * last.weight_stride() + j] += sum;
}

// One hidden layer: W̄₁[j, i] += c̄_j g_i W₂[i, j], W̄₂[i, j] += c̄_j g_i W₁[j, i]; scratch: c̄_j W₁ W₂
// [sets][D][H₁]. One thread for each entry of (D, H₁).
__global__ void pull_one_hidden(ClosedPullback s, Layer first, Layer last) {
  const std::size_t entry = flat_index();
  const int i = static_cast<int>(entry / first.out()), j = static_cast<int>(entry % first.out());
  if (i >= s.net.dimension) return;
  const float w1 = (s.net.packed + first.packed)[entry];
  const float w2 = (s.net.packed + last.packed + last.weights())[entry];
  float sum = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    if (rests(s, set)) continue;
    const float bar = matrix_bar(s, set, j, first.out());
    s.scratch[std::size_t(set) * s.net.dimension * first.out() + entry] = bar * w1 * w2;
    sum = fmaf(bar, gate_of(s, set, i), sum);
  }
  if (!s.gradient) return;
  s.gradient[first.weight_offset() + std::size_t(j) * first.weight_stride() + i] += sum * w2;
  s.gradient[last.weight_offset() + std::size_t(i) * last.weight_stride() + j] += sum * w1;
}

// ḡ_i = Σ_k products[set][i][k] (times W₁[k, i] where there are two hidden layers), to the logit
// and its parameters; one thread for each output.
__global__ void pull_output_gate(ClosedPullback s, Layer first, Layer last, const float* products,
                                 bool times_first, float* logits) {
  const int i = static_cast<int>(flat_index());
  if (i >= s.net.dimension) return;
  const float* w1 = s.net.packed + first.packed + std::size_t(i) * first.out();
  float bias_bar = 0.f, weight_bar = 0.f;
  for (int set = 0; set < s.sets; ++set) {
    float logit = 0.f;
    if (!rests(s, set)) {
      const float* row = products + (std::size_t(set) * s.net.dimension + i) * first.out();
      for (int k = 0; k < first.out(); ++k) logit = fmaf(row[k], times_first ? w1[k] : 1.f, logit);
      const float gate = gate_of(s, set, i);
      logit *= gate * (1.f - gate);
      bias_bar += logit;
      weight_bar = fmaf(s.time[set], logit, weight_bar);
    }
    logits[std::size_t(set) * s.net.dimension + i] = logit;
  }
  if (!s.gradient) return;
  s.gradient[last.offsets.gate_bias + i] += bias_bar;
  s.gradient[last.offsets.gate_weight + i] += weight_bar;
}

// Puts t̄ of a group at its first row.
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

/// values (B, columns) ← v · from, with v = div̄; `from` has a row for every `rows` rows, or is
/// null for ones.
void scale_rows(const ClosedPullback& s, const float* from, int rows, int columns, float* values,
                const Stream& stream) {
  launch("scale_by_row", scale_by_row, flat_shape(std::size_t(s.batch) * columns), stream, s, from,
         rows, columns, values);
}

/// Adds what the slices say to the gradient, and fills `time_bars`.
void pull_closed(const ClosedPullback& s, const std::vector<Layer>& layers, const Stream& stream) {
  const Layer &first = layers.front(), &last = layers.back();
  const bool two = layers.size() == 3;
  const std::size_t dimension = last.out(), width = first.out();
  float* products = s.scratch;
  if (two) {
    const Layer& middle = layers[1];
    products += std::size_t(s.sets) * middle.out() * width;
    launch("pull_matrix", pull_matrix, flat_shape(std::size_t(middle.out()) * width), stream, s,
           first, middle);
    launch("pull_first", pull_first, flat_shape(dimension * width), stream, s, first, middle, last);
    if (s.gradient)
      launch("pull_last", pull_last, flat_shape(dimension * middle.out()), stream, s, first, middle,
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

const ClosedArrays& closed_of(const DeviceNet& net, const Evaluation& evaluation) {
  return net.gated_output() ? evaluation.closed : net.closed();
}

}  // namespace

void set_closed(const NetArrays& net, const std::vector<Layer>& layers, const float* output_gate,
                int gate_stride, int count, const ClosedArrays& closed, const Stream& stream) {
  const Layer &first = layers.front(), &last = layers.back();
  if (layers.size() == 2)
    launch("set_closed_one", set_closed_one, flat_shape(std::size_t(count) * first.out()), stream,
           net, first, last, output_gate, gate_stride, count, closed);
  else
    launch("set_closed_two", set_closed_two,
           flat_shape(std::size_t(count) * first.out() * layers[1].out()), stream, net, first,
           layers[1], last, output_gate, gate_stride, count, closed);
}

// R̄ᵀ of two hidden layers, the products whose sums are ḡ, the logits.
std::size_t closed_scratch(const std::vector<Layer>& layers, int sets) {
  const std::size_t dimension = layers.back().out(), width = layers.front().out();
  const std::size_t matrix = layers.size() == 3 ? layers[1].out() * width : 0;
  return sets * (matrix + dimension * width + dimension);
}

// d₂ᵀ (M d₁), or cᵀ d₁.
void close_trace(const DeviceNet& net, Evaluation& e, const FieldPoint& point, TapeUse use,
                 FieldArguments& field) {
  const std::vector<Layer>& layers = net.layers();
  if (net.gated_output())
    set_closed(net.arrays(), layers, e.times.gate + layers.back().unit, gate_stride(e, point),
               point.groups.count, e.closed, net.stream());
  const ClosedArrays& closed = closed_of(net, e);
  const Layer& first = layers.front();
  if (layers.size() == 2) {
    field.closed_width = first.out();
    field.closed_left = closed.c;
    field.closed_left_rows = net.gated_output() ? point.groups.rows : point.batch;
    field.closed_right = e.layers[0].closed;
    return;
  }
  field.closed_width = layers[1].out();
  field.closed_left = e.layers[1].closed;
  field.closed_left_on_tape = true;
  field.closed_right = e.closed_product;
  if (use == TapeUse::Read) return;
  MultiplyArguments m;
  m.groups = point.groups;
  m.batch = point.batch;
  m.depth = first.out();
  m.units = layers[1].out();
  m.slot = point.slot;
  m.a = e.layers[0].closed;
  m.b = closed.m_transposed;
  m.b_stride = net.gated_output() ? std::size_t(m.depth) * m.units : 0;
  m.c = e.closed_product;
  m.c_stride = m.units;
  multiply(m, net.stream());
}

void pull_closed_trace(Reverse& reverse, const FieldColumns<const float>& bars) {
  const DeviceNet& net = reverse.net;
  const Stream& stream = net.stream();
  const std::vector<Layer>& layers = net.layers();
  const Evaluation& e = reverse.evaluation;
  PullbackScratch& scratch = reverse.scratch;
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
  const Layer& first = layers.front();
  const bool two = layers.size() == 3, gated = net.gated_output();
  ClosedPullback s;
  s.net = net.arrays();
  s.groups = point.groups;
  s.batch = point.batch;
  s.sets = gated ? point.groups.count : 1;
  s.closed = closed_of(net, e);
  s.divergence_bar = bars.divergence;
  s.bar_stride = bars.stride;
  OuterArguments outer;
  outer.groups = point.groups;
  outer.batch = point.batch;
  outer.in = first.out();
  outer.input = {e.layers[0].closed, first.out(), nullptr};
  outer.slices = scratch.slices;
  outer.columns = scratch.columns;
  outer.value_bar = scratch.closed_weighted;
  if (two) {
    const Layer& middle = layers[1];
    scale_rows(s, e.closed_product, 1, middle.out(), scratch.closed_bars[1], stream);
    scale_rows(s, e.layers[1].closed, 1, middle.out(), scratch.closed_weighted, stream);
    MultiplyArguments m;
    m.groups = point.groups;
    m.batch = point.batch;
    m.depth = middle.out();
    m.units = first.out();
    m.a = scratch.closed_weighted;
    m.b = s.closed.m;
    m.b_stride = gated ? std::size_t(m.depth) * m.units : 0;
    m.c = scratch.closed_bars[0];
    m.c_stride = first.out();
    multiply(m, stream);
    outer.out = middle.out();
  } else {
    const int rows = gated ? point.groups.rows : point.batch;
    scale_rows(s, s.closed.c, rows, first.out(), scratch.closed_bars[0], stream);
    scale_rows(s, nullptr, point.batch, 1, scratch.closed_weighted, stream);
    outer.out = 1;
  }
  if (!targets.gradient && !(targets.times && gated)) return;
  cut_slices(outer, gated, stream.options());
  sum_outer_products(outer, stream);
  s.slices = scratch.slices;
  s.slices_a_set = outer.slice_count / s.sets;
  if (gated) {
    s.output_gate = e.times.gate + layers.back().unit;
    s.gate_stride = gate_stride(e, point);
  }
  s.time = e.times.time;
  s.scratch = scratch.closed_scratch;
  s.time_bars = gated ? reverse.time_bars : nullptr;
  s.gradient = targets.gradient;
  pull_closed(s, layers, stream);
  if (s.time_bars) reverse.passed_times(1);
}

}  // namespace ffjord::cuda
