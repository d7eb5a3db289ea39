// Gradients of one layer's weights, biases, gates and hypernets on a tile, and t̄, once the layer's
// cotangents are complete.
#pragma once

#include <algorithm>
#include <utility>

#include "cpu/dense_tile_net.h"
#include "cpu/low_rank.h"
#include "cpu/row_terms.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// Gradients of b, gate and shift from the sums over rows that pull_back_activation left; t̄.
inline void DenseTileNet::pull_back_gates(Reverse& reverse, int l) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  const float t = reverse.time.t;
  const AlignedFloats& gates = reverse.time.layers[l].gate;
  float* const sums = memory.summed.data();
  float* const gate_sums = sums + round_up(layer.out(), kLanes);
  sums_of_lanes(memory.sums.data(), layer.out(), sums);
  float t_bar = 0;
  for (int j = 0; j < layer.out(); ++j) t_bar += layer.shift[j] * sums[j];
  if (reverse.gradient) {
    LayerGradient& gradient = reverse.gradient->layers[l];
    for (int j = 0; j < layer.out(); ++j) gradient.shift[j] += t * sums[j];
    for (int j = 0; j < layer.out(); ++j)
      gradient.bias[j] += gates[std::size_t(j) * kLanes] * sums[j];
  }
  if (layer.gated()) {
    sums_of_lanes(memory.gate_sums.data(), layer.out(), gate_sums);
    for (int j = 0; j < layer.out(); ++j) gate_sums[j] *= 1 - gates[std::size_t(j) * kLanes];
    for (int j = 0; j < layer.out(); ++j) t_bar += layer.gate_weight[j] * gate_sums[j];
    if (reverse.gradient) {
      LayerGradient& gradient = reverse.gradient->layers[l];
      for (int j = 0; j < layer.out(); ++j) gradient.gate_weight[j] += t * gate_sums[j];
      for (int j = 0; j < layer.out(); ++j) gradient.gate_bias[j] += gate_sums[j];
    }
  }
  reverse.t_bar += t_bar;
}

/// The same where every row has its own t or its own context's gates; also multiplies the
/// cotangents by the gates, row by row.
inline void DenseTileNet::pull_back_own_gates(Reverse& reverse, int l,
                                              const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  const NetTime& time = reverse.time;
  TileActivations& memory = reverse.memory;
  const Columns& columns = memory.columns;
  const bool closed = memory.evaluation.form == Form::Closed && l + 1 < layer_count();
  const RowVectors gates = gate_vectors(time, memory, l);
  const RowVectors shifts = time.vectors(time.layers[l].shift, strips_);
  const RowVectors times = time.time_vectors();
  const float* preactivations = layer.gated() ? memory.preactivations[l + 1].data() : nullptr;
  float* logit_bars = reverse.arrays.terms && context_.moves_gates(l)
                          ? reverse.arrays.terms + std::size_t(context_.gates[l]) * this->rows()
                          : nullptr;
  Vec t_bars[kMostRows / kLanes] = {};  // Σ over units, by row
  for (int j = 0; j < layer.out(); ++j) {
    Vec bias_bar = {}, shift_bar = {}, gate_weight_bar = {}, gate_bias_bar = {};
    for (int g = 0; g < strips_; ++g) {
      const std::size_t at =
          cotangents.offset(g * columns.channels) + std::size_t(j) * kFeatureStride;
      const Vec z_bar = load(cotangents.data + at), t = times.at(0, g);
      Vec t_bar = z_bar * splat(layer.shift[j]);
      const Vec gate = gates.at(j, g);
      bias_bar = fma(gate, z_bar, bias_bar);
      shift_bar = fma(t, z_bar, shift_bar);
      if (layer.gated()) {
        Vec sum = z_bar * (load(preactivations + at) - shifts.at(j, g));
        if (closed) sum = fma(load(memory.closed_cotangents[l].data() + at), gate, sum);
        store(cotangents.data + at, gate * z_bar);
        for (int k = 1; k < columns.channels; ++k) {
          const std::size_t tangent_at =
              cotangents.offset(g * columns.channels + k) + std::size_t(j) * kFeatureStride;
          const Vec u_bar = load(cotangents.data + tangent_at);
          sum = fma(u_bar, load(preactivations + tangent_at), sum);
          store(cotangents.data + tangent_at, gate * u_bar);
        }
        const Vec logit_bar = (splat(1.f) - gate) * sum;
        gate_bias_bar = gate_bias_bar + logit_bar;
        gate_weight_bar = fma(t, logit_bar, gate_weight_bar);
        t_bar = fma(splat(layer.gate_weight[j]), logit_bar, t_bar);
        if (logit_bars) {
          float* to = logit_bars + std::size_t(j) * this->rows() + std::size_t(g) * kLanes;
          store(to, load(to) + logit_bar);
        }
      }
      t_bars[g] = t_bars[g] + t_bar;
    }
    if (!reverse.gradient) continue;
    LayerGradient& gradient = reverse.gradient->layers[l];
    gradient.bias[j] += sum_of_lanes(bias_bar);
    gradient.shift[j] += sum_of_lanes(shift_bar);
    gradient.gate_weight[j] += sum_of_lanes(gate_weight_bar);
    gradient.gate_bias[j] += sum_of_lanes(gate_bias_bar);
  }
  for (int g = 0; g < strips_; ++g) {
    if (!time.own) reverse.t_bar += sum_of_lanes(t_bars[g]);
    for (int lane = 0; reverse.times_bar && lane < kLanes; ++lane)
      reverse.times_bar[g * kLanes + lane] += t_bars[g][lane];
  }
}

/// Chains P = Σ z̄ aᵀ + ū ȧᵀ and Σ z̄ of this tile to the hypernet that made W(t) and b(t).
inline void DenseTileNet::pull_back_hypernet(Reverse& reverse, int l,
                                             const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  const Panels input = panels(memory.outputs[l], memory.columns, features_at(l));
  const int stride = padded_features(layer.in());
  memory.matrix.assign(std::size_t(layer.out()) * stride, 0.f);
  accumulate_weight_gradient(cotangents, layer.out(), input, layer.in(), memory.columns,
                             memory.matrix.data(), true, memory.transposed.data());
  const std::vector<float>& hidden = reverse.time.layers[l].hidden;
  const float* v = layer.parameters + layer.offsets.hyper2_weight;
  LayerGradient* gradient = reverse.gradient ? &reverse.gradient->layers[l] : nullptr;
  double hidden_bar[kHypernetUnits] = {};
  const auto chain = [&](std::size_t output, float bar) {
    for (int m = 0; m < kHypernetUnits; ++m) {
      const std::size_t at = output * kHypernetUnits + m;
      hidden_bar[m] += double(v[at]) * bar;
      if (gradient) gradient->hyper2_weight[at] += bar * hidden[m];
    }
    if (gradient) gradient->hyper2_bias[output] += bar;
  };
  for (int j = 0; j < layer.out(); ++j) {
    chain(j, sum_of_lanes(load(memory.sums.data() + std::size_t(j) * kLanes)));
    for (int k = 0; k < layer.in(); ++k)
      chain(layer.out() + std::size_t(j) * layer.in() + k,
            memory.matrix[std::size_t(j) * stride + k]);
  }
  for (int m = 0; m < kHypernetUnits; ++m) {
    const double logit_bar = (1 - double(hidden[m]) * hidden[m]) * hidden_bar[m];
    reverse.t_bar += layer.parameters[layer.offsets.hyper0_weight + m] * logit_bar;
    if (!gradient) continue;
    gradient->hyper0_weight[m] += static_cast<float>(reverse.time.t * logit_bar);
    gradient->hyper0_bias[m] += static_cast<float>(logit_bar);
  }
}

/// blend: the cotangents of (x, t x) become x̄ = first + t second; t̄ += x · second.
inline void DenseTileNet::contract_input(Reverse& reverse, int l, const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  const Columns& columns = memory.columns;
  const Panels input = panels(memory.outputs[l], columns, features_at(l));
  const RowVectors times = reverse.time.time_vectors();
  for (int n = 0; n < columns.count(); ++n) {
    const int g = n / columns.channels;
    const float* x = input.column(n);
    float* bar = cotangents.column(n);
    const Vec t = times.at(0, g);
    Vec t_bar = {};
    for (int i = 0; i < layer.in(); ++i) {
      const std::size_t first = std::size_t(i) * kFeatureStride;
      const Vec second_bar = load(bar + first + std::size_t(layer.in()) * kFeatureStride);
      store(bar + first, fma(t, second_bar, load(bar + first)));
      t_bar = fma(load(x + first), second_bar, t_bar);
    }
    if (!reverse.time.own) reverse.t_bar += sum_of_lanes(t_bar);
    if (reverse.time.own && reverse.times_bar)
      for (int lane = 0; lane < kLanes; ++lane) reverse.times_bar[g * kLanes + lane] += t_bar[lane];
  }
}

/// What is left of layer l once its cotangents are complete: gradients, and t̄.
inline void DenseTileNet::finish_layer(Reverse& reverse, int l, const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  if (own_gates(reverse.time, l))
    pull_back_own_gates(reverse, l, cotangents);
  else
    pull_back_gates(reverse, l);
  if (context_.moves_bias(l) && reverse.arrays.terms) pull_back_bias_terms(reverse, l, cotangents);
  if (layer.amortised.rank > 0) pull_back_low_rank(reverse, l, cotangents);
  if (layer.hyper()) {
    pull_back_hypernet(reverse, l, cotangents);
  } else if (reverse.gradient) {
    const Panels input = panels(memory.outputs[l], memory.columns, features_at(l));
    Sums& weight = reverse.gradient->layers[l].weight;
    const bool begun = std::exchange(weight.begun, true);
    float* const sums = weight.values.data();
    float* const scratch = memory.transposed.data();
    if (layer.sums_transposed())
      accumulate_weight_gradient(input, layer.depth(), cotangents, layer.out(), memory.columns,
                                 sums, begun, scratch);
    else
      accumulate_weight_gradient(cotangents, layer.out(), input, layer.depth(), memory.columns,
                                 sums, begun, scratch);
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
