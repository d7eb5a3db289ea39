#include "cuda/device/grid.h"
#include "cuda/net/activations.h"
#include "cuda/net/net_time.h"

namespace ffjord::cuda {
namespace {

// (b, W)(t) = V tanh(v t + c) + d, b first, then W (out, in); one thread for each output and group.
__global__ void generate_weights(NetArrays net, Layer layer, Groups groups, double c,
                                 TimeArrays times) {
  const std::size_t outputs = layer.hypernet_outputs(), entry = flat_index();
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
  if (p < std::size_t(layer.out())) {
    times.bias[std::size_t(group) * net.units + layer.unit + p] = value;
    return;
  }
  float* packed = times.packed + group * net.packed_size + layer.packed;
  const std::size_t w = p - layer.out(), j = w / layer.in(), k = w % layer.in();
  packed[k * layer.out() + j] = value;
  packed[layer.weights() + w] = value;
}

// One thread for each entry of (sets, units); 12 bytes are written, and 4 read for each term.
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

}  // namespace

void set_times(const NetArrays& net, const std::vector<Layer>& layers, const RowTimes& at,
               const TimeArrays& times, const Stream& stream) {
  for (const Layer& layer : layers)
    if (layer.hyper())
      launch("generate_weights", generate_weights,
             flat_shape(std::size_t(at.groups.count) * layer.out() * (layer.in() + 1)), stream, net,
             layer, at.groups, at.c, times);
  const int sets = (at.batch + times.rows - 1) / times.rows;
  launch("set_gates", set_gates, flat_shape(std::size_t(sets) * net.units), stream, net, at, times);
}

}  // namespace ffjord::cuda
