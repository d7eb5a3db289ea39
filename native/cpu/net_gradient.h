// Sums of the weight gradients of a net.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/slots.h"
#include "cpu/context_map.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

struct LayerGradient {
  AlignedFloats weight;       ///< in the order of the kernel that adds to it; of hyper unused
  AlignedFloats transformed;  ///< what `finish` adds to `weight`, of Winograd's convolutions
  std::vector<float> bias, shift, gate_weight, gate_bias;  ///< (out); of shift (units)
  std::vector<float> coordinates;                          ///< of their planes, [2][taps][out]
  float beta = 0;
  std::vector<float> hyper0_weight, hyper0_bias, hyper2_weight, hyper2_bias;
};

struct NetGradient final : GradientSlot {
  std::vector<LayerGradient> layers;
  AlignedFloats m_bar;  ///< closed-form trace, two hidden layers, ungated: M̄ (H₂, padded H₁)
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
      gradient.weight.resize(layer.sums_size());
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

  /// Every array that sums are kept in.
  std::vector<std::span<float>> arrays() {
    std::vector<std::span<float>> all{m_bar, context};
    for (LayerGradient& layer : layers) {
      all.push_back(layer.weight);
      if (!finished) all.push_back(layer.transformed);
      all.emplace_back(&layer.beta, 1);
      for (auto* vector :
           {&layer.bias, &layer.shift, &layer.coordinates, &layer.gate_weight, &layer.gate_bias,
            &layer.hyper0_weight, &layer.hyper0_bias, &layer.hyper2_weight, &layer.hyper2_bias})
        all.push_back(*vector);
    }
    return all;
  }

  void clear() override {
    finished = false;
    for (const std::span<float> array : arrays()) std::fill(array.begin(), array.end(), 0.f);
  }
};

/// Adds the sums of `from` to those of `to`, and clears `from`.
inline void move_gradients(NetGradient& from, NetGradient& to) {
  const auto sources = from.arrays();
  const auto targets = to.arrays();
  for (std::size_t a = 0; a < sources.size(); ++a)
    for (std::size_t i = 0; i < sources[a].size(); ++i) targets[a][i] += sources[a][i];
  from.clear();
}

/// The sum of all slots, in the first of them, piece by piece so that it is read from memory once.
inline NetGradient& sum_of_slots(std::span<GradientSlot* const> slots) {
  constexpr std::size_t kPiece = 1024;  // floats
  auto& sum = static_cast<NetGradient&>(*slots.front());
  std::vector<std::vector<std::span<float>>> parts;
  for (GradientSlot* slot : slots) parts.push_back(static_cast<NetGradient&>(*slot).arrays());
  for (std::size_t a = 0; a < parts.front().size(); ++a)
    for (std::size_t first = 0; first < parts.front()[a].size(); first += kPiece) {
      const std::size_t last = std::min(first + kPiece, parts.front()[a].size());
      add_as_tree(parts.size(), [&](std::size_t to_slot, std::size_t from_slot) {
        float* const to = parts[to_slot][a].data();
        const float* const from = parts[from_slot][a].data();
        for (std::size_t i = first; i < last; ++i) to[i] += from[i];
      });
    }
  return sum;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
