#include "cuda/device/grid.h"
#include "cuda/net/activations.h"
#include "cuda/net/net_time.h"

namespace ffjord::cuda {
namespace {

constexpr int kHypernetUnits = 8;

// (b, W)(t) = V tanh(v t + c) + d, b first, then W (out, in); one thread an output and group.
__global__ void generate_weights(NetArrays net, Layer layer, Groups groups, double c,
                                 TimeArrays times) {
  const std::size_t outputs = std::size_t(layer.out) * (layer.in + 1), entry = flat_index();
  const int group = static_cast<int>(entry / outputs);
  const std::size_t p = entry % outputs;
  if (group >= groups.count || !groups.data[group].working) return;
  const LayerOffsets& at = layer.offsets;
  const float t = groups.time(group, c);
  float value = net.parameters[at.hyper2_bias + p];
  for (int m = 0; m < kHypernetUnits; ++m) {
    const float hidden = rational_tanh(
        fmaf(net.parameters[at.hyper0_weight + m], t, net.parameters[at.hyper0_bias + m]));
    value = fmaf(net.parameters[at.hyper2_weight + p * kHypernetUnits + m], hidden, value);
  }
  if (p < std::size_t(layer.out)) {
    times.bias[std::size_t(group) * net.units + layer.unit + p] = value;
    return;
  }
  float* packed = times.packed + group * net.packed_size + layer.packed;
  const std::size_t w = p - layer.out, j = w / layer.in, k = w % layer.in;
  packed[k * layer.out + j] = value;
  packed[layer.weights() + w] = value;
}

// One thread an entry of (sets, units); 12 bytes are written, and 4 read for each term.
__global__ void set_gates(NetArrays net, RowTimes at, TimeArrays times) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / net.units) * times.rows,
            unit = static_cast<int>(entry % net.units);
  if (row >= at.batch) return;
  const int group = row / at.groups.rows;
  if (!at.groups.data[group].working) return;
  int l = 0;
  while (l + 1 < net.layer_count && net.layers[l + 1].unit <= unit) ++l;
  const Layer& layer = net.layers[l];
  const LayerOffsets& of = layer.offsets;
  const int j = unit - layer.unit;
  const float t = at.groups.time(group, at.c);
  if (unit == 0 && row % at.groups.rows == 0) times.time[group] = t;
  const auto term = [&](int first) {
    return first == kNoTerm ? 0.f : at.terms[std::size_t(row) * net.terms + first + j];
  };
  float gate = 1.f;
  float bias = layer.hyper() ? times.bias[std::size_t(group) * net.units + unit]
                             : net.parameters[of.bias + j];
  bias += term(layer.bias_term);
  if (layer.gated())
    gate = sigmoid(fmaf(net.parameters[of.gate_weight + j], t, net.parameters[of.gate_bias + j]) +
                   term(layer.gate_term));
  const float shift = layer.shift_weight(net.parameters, j) * t;
  times.gate[entry] = gate;
  times.shift[entry] = shift;
  times.offset[entry] = fmaf(gate, bias, shift);
}

__device__ float output_gate_at(const float* output_gate, int gate_stride, int set, int i) {
  return output_gate ? output_gate[std::size_t(set) * gate_stride + i] : 1.f;
}

// c_j = Σ_i W₁[j, i] g[i] W₂[i, j]; one thread an entry of (sets, H₁).
__global__ void set_closed_one(NetArrays net, Layer first, Layer last, const float* output_gate,
                               int gate_stride, int count, ClosedArrays closed) {
  const std::size_t entry = flat_index();
  const int set = static_cast<int>(entry / first.out), j = static_cast<int>(entry % first.out);
  if (set >= count) return;
  const float* w1 = net.packed + first.packed;                  // (D, H₁)
  const float* w2 = net.packed + last.packed + last.weights();  // (D, H₁)
  float sum = 0.f;
  for (int i = 0; i < net.dimension; ++i)
    sum =
        fmaf(w1[std::size_t(i) * first.out + j] * output_gate_at(output_gate, gate_stride, set, i),
             w2[std::size_t(i) * first.out + j], sum);
  closed.c[entry] = sum;
}

// Rᵀ[j, k] = Σ_i W₃[i, j] g[i] W₁[k, i] and M = W₂ ∘ Rᵀ; one thread an entry of (sets, H₂, H₁).
__global__ void set_closed_two(NetArrays net, Layer first, Layer middle, Layer last,
                               const float* output_gate, int gate_stride, int count,
                               ClosedArrays closed) {
  const std::size_t entry = flat_index(), size = std::size_t(middle.out) * first.out;
  const int set = static_cast<int>(entry / size);
  const int j = static_cast<int>(entry % size / first.out), k = static_cast<int>(entry % first.out);
  if (set >= count) return;
  const float* w1 = net.packed + first.packed;                      // (D, H₁)
  const float* w2 = net.packed + middle.packed + middle.weights();  // (H₂, H₁)
  const float* w3 = net.packed + last.packed + last.weights();      // (D, H₂)
  float sum = 0.f;
  for (int i = 0; i < net.dimension; ++i)
    sum =
        fmaf(w3[std::size_t(i) * middle.out + j] * output_gate_at(output_gate, gate_stride, set, i),
             w1[std::size_t(i) * first.out + k], sum);
  const float m = w2[std::size_t(j) * first.out + k] * sum;
  closed.r[entry] = sum;
  closed.m[entry] = m;
  closed.m_transposed[set * size + std::size_t(k) * middle.out + j] = m;
}

}  // namespace

void set_times(const NetArrays& net, const std::vector<Layer>& layers, const RowTimes& at,
               const TimeArrays& times, const Stream& stream) {
  for (const Layer& layer : layers)
    if (layer.hyper())
      launch("generate_weights", generate_weights,
             flat_shape(std::size_t(at.groups.count) * layer.out * (layer.in + 1)), stream, net,
             layer, at.groups, at.c, times);
  const int sets = (at.batch + times.rows - 1) / times.rows;
  launch("set_gates", set_gates, flat_shape(std::size_t(sets) * net.units), stream, net, at, times);
}

void set_closed(const NetArrays& net, const std::vector<Layer>& layers, const float* output_gate,
                int gate_stride, int count, const ClosedArrays& closed, const Stream& stream) {
  const Layer &first = layers.front(), &last = layers.back();
  if (layers.size() == 2)
    launch("set_closed_one", set_closed_one, flat_shape(std::size_t(count) * first.out), stream,
           net, first, last, output_gate, gate_stride, count, closed);
  else
    launch("set_closed_two", set_closed_two,
           flat_shape(std::size_t(count) * first.out * layers[1].out), stream, net, first,
           layers[1], last, output_gate, gate_stride, count, closed);
}

}  // namespace ffjord::cuda
