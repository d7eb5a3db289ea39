// What depends on t alone: gates, shifts, the hypernet's weights, M(t).
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/closed_trace.h"
#include "cpu/layer_forward.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// One layer at one t, or at one t a row.
struct LayerTime {
  AlignedFloats gate, offset,
      shift;  ///< g, g ⊙ b + s, s: [units][kLanes] (equal lanes), or [units][rows]
  PackedMatrix forward, backward;  ///< hyper: W(t), Wᵀ(t)
  std::vector<float> hidden;       ///< hyper: tanh(v t + c), 8 entries
};

struct NetTime final : TimeSlot {
  bool builds_closed = false;  ///< whether set_time fills `closed`
  bool own = false;            ///< every row its own t
  float t = 0;                 ///< otherwise
  AlignedFloats times;         ///< [kLanes] of equal entries, or [rows]
  std::vector<LayerTime> layers;
  ClosedTrace closed;  ///< of nets with a gated output; others keep theirs

  RowVectors vectors(const AlignedFloats& data, int strips) const {
    return {data.data(), own ? strips * kLanes : kLanes, own ? kLanes : 0};
  }
  RowVectors time_vectors() const { return {times.data(), 0, own ? kLanes : 0}; }
};

/// g ⊙ b + s of ungated layers where every row has its own t: g is 1, and nobody reads s.
template <class AnyLayer>
void set_own_offsets(const AnyLayer& layer, const NetTime& time, const float* bias, int rows,
                     LayerTime& at) {
  const std::size_t size = std::size_t(layer.units()) * rows;
  if (at.gate.size() != size) at.gate.assign(size, 1.f);
  at.offset.resize(size);
  for (int j = 0; j < layer.units(); ++j)
    for (int lane = 0; lane < rows; lane += kLanes)
      store(at.offset.data() + std::size_t(j) * rows + lane,
            fma(splat(layer.shift[j]), load(time.times.data() + lane), splat(bias[j])));
}

/// Fills g, s and g ⊙ b + s; `bias` is b, of hyper b(t).
template <class AnyLayer>
void set_gates(const AnyLayer& layer, const NetTime& time, const float* bias, int rows,
               LayerTime& at) {
  const int lanes = time.own ? rows : kLanes;
  if (time.own && !layer.gated()) return set_own_offsets(layer, time, bias, rows, at);
  for (AlignedFloats* vectors : {&at.gate, &at.offset, &at.shift})
    vectors->resize(std::size_t(layer.units()) * lanes);
  const auto set = [&, gates = at.gate.data(), offsets = at.offset.data(), shifts = at.shift.data(),
                    shift_weights = layer.shift.data()](int j, int lane, Vec gate, Vec t) {
    const Vec shift = splat(shift_weights[j]) * t;
    const std::size_t to = std::size_t(j) * lanes + lane;
    store(gates + to, gate);
    store(shifts + to, shift);
    store(offsets + to, fma(gate, splat(bias[j]), shift));
  };
  if (time.own) {
    for (int j = 0; j < layer.units(); ++j)
      for (int lane = 0; lane < lanes; lane += kLanes) {
        const Vec t = load(time.times.data() + lane);
        const Vec gate =
            layer.gated() ? sigmoid(fma(splat(layer.gate_weight[j]), t, splat(layer.gate_bias[j])))
                          : splat(1.f);
        set(j, lane, gate, t);
      }
    return;
  }
  // One t for all rows: kLanes units at a time for the sigmoids, then one by one.
  const Vec t = splat(time.t);
  for (int first = 0; first < layer.units(); first += kLanes) {
    float gates[kLanes];
    if (layer.gated())
      store(gates, sigmoid(fma(load(layer.gate_weight.data() + first), t,
                               load(layer.gate_bias.data() + first))));
    const int last = std::min(first + kLanes, layer.units());
    for (int j = first; j < last; ++j)
      set(j, 0, layer.gated() ? splat(gates[j - first]) : splat(1.f), t);
  }
}

/// hyper: (b, W)(t) = V tanh(v t + c) + d, b first, then W (out, in).
inline std::vector<float> hypernet_output(const Layer& layer, const LayerTime& at) {
  const int units = static_cast<int>(at.hidden.size());
  const std::size_t count = layer.hypernet_outputs();
  const float* v = layer.parameters + layer.offsets.hyper2_weight;  // (count, units)
  const float* d = layer.parameters + layer.offsets.hyper2_bias;
  std::vector<float> output(count);
  for (std::size_t p = 0; p < count; ++p) {
    float sum = d[p];
    for (int m = 0; m < units; ++m) sum += v[p * units + m] * at.hidden[m];
    output[p] = sum;
  }
  return output;
}

/// Fills the packed W(t) and returns b(t).
inline std::vector<float> set_hypernet(const Layer& layer, float t, LayerTime& at) {
  at.hidden.resize(kHypernetUnits);
  for (int m = 0; m < kHypernetUnits; ++m)
    at.hidden[m] = std::tanh(layer.parameters[layer.offsets.hyper0_weight + m] * t +
                             layer.parameters[layer.offsets.hyper0_bias + m]);
  std::vector<float> output = hypernet_output(layer, at);
  const float* w = output.data() + layer.out();
  const auto element = [&](int row, int k) { return w[std::size_t(row) * layer.in() + k]; };
  at.forward.pack(layer.out(), layer.in(), element);
  at.backward.pack_transposed(layer.in(), layer.out(), element);
  output.resize(layer.out());
  return output;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
