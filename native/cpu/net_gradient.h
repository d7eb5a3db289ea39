// Sums of the weight gradients of a net.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "cpu/context_map.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// Sums that are written before they are added to: where the first tile of a slot writes all of
/// them, to clear and to read zeros would take the memory of a wide net two more passes.
struct Sums {
  AlignedFloats values;
  bool begun = true;          ///< false: `values` hold nothing of use yet
  bool first_writes = false;  ///< who begins writes all values

  void clear() {
    begun = !first_writes;
    if (begun) std::fill(values.begin(), values.end(), 0.f);
  }
  /// The values, zeros where no tile has begun.
  AlignedFloats& begin() {
    if (!std::exchange(begun, true)) std::fill(values.begin(), values.end(), 0.f);
    return values;
  }
};

struct LayerGradient {
  Sums weight;                ///< in the order of the kernel that adds to it; of hyper unused
  AlignedFloats transformed;  ///< what `finish` adds to `weight`, of Winograd's convolutions
  std::vector<float> bias, shift, gate_weight, gate_bias;  ///< (out); of shift (units)
  std::vector<float> coordinates;                          ///< of their planes, [2][taps][out]
  float beta = 0;
  std::vector<float> hyper0_weight, hyper0_bias, hyper2_weight, hyper2_bias;

  std::array<std::vector<float>*, 9> vectors() {
    return {&bias,          &shift,       &coordinates,   &gate_weight, &gate_bias,
            &hyper0_weight, &hyper0_bias, &hyper2_weight, &hyper2_bias};
  }
};

struct NetGradient final : GradientSlot {
  std::vector<LayerGradient> layers;
  Sums m_bar;  ///< closed-form trace, two hidden layers, ungated: M̄ (H₂, padded H₁)
  AlignedFloats context;  ///< (P, padded C)
  bool finished = false;  ///< M̄ and `transformed` are in the sums of the weights

  template <class AnyLayer>
  NetGradient(const std::vector<AnyLayer>& net, const ContextMap& map)
      : layers(net.size()), context(map.gradient_floats()) {
    for (std::size_t l = 0; l < net.size(); ++l) {
      const AnyLayer& layer = net[l];
      LayerGradient& gradient = layers[l];
      for (auto* vector : {&gradient.bias, &gradient.gate_weight, &gradient.gate_bias})
        vector->resize(layer.out());
      gradient.shift.resize(layer.units());
      gradient.weight.values.resize(layer.sums_size());
      gradient.transformed.resize(layer.transformed_size());
      if (layer.form.coordinates) gradient.coordinates.resize(2 * layer.map.taps() * layer.out());
      if (layer.hyper()) {
        const std::size_t outputs = layer.hypernet_outputs();
        gradient.hyper0_weight.resize(kHypernetUnits);
        gradient.hyper0_bias.resize(kHypernetUnits);
        gradient.hyper2_weight.resize(outputs * kHypernetUnits);
        gradient.hyper2_bias.resize(outputs);
      }
    }
    clear();
  }

  std::vector<std::span<float>> sums() override {
    std::vector<std::span<float>> all;
    all.reserve(2 + layers.size() * 12);
    all.insert(all.end(), {m_bar.begin(), context});
    for (LayerGradient& layer : layers) {
      all.push_back(layer.weight.begin());
      if (!finished) all.push_back(layer.transformed);
      all.emplace_back(&layer.beta, 1);
      for (std::vector<float>* vector : layer.vectors()) all.push_back(*vector);
    }
    return all;
  }

  void clear() override {
    finished = false;
    m_bar.clear();
    std::fill(context.begin(), context.end(), 0.f);
    for (LayerGradient& layer : layers) {
      layer.weight.clear();
      std::fill(layer.transformed.begin(), layer.transformed.end(), 0.f);
      layer.beta = 0;
      for (std::vector<float>* vector : layer.vectors())
        std::fill(vector->begin(), vector->end(), 0.f);
    }
  }
};

inline void add_numbers(std::span<const float> from, float* to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

/// Adds the sums of `from` to those of `to`, and clears `from`.
inline void move_gradients(NetGradient& from, NetGradient& to) {
  const auto sources = from.sums();
  const auto targets = to.sums();
  for (std::size_t a = 0; a < sources.size(); ++a) add_numbers(sources[a], targets[a].data());
  from.clear();
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
