// Scratch memory of an evaluation, and the sums of weight gradients.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "core/slots.h"
#include "core/trace_plan.h"
#include "cpu/closed_trace.h"
#include "cpu/context_map.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// What an evaluation computes beside f.
enum class Form { Values, Tangents, Closed, Bottleneck };

struct Evaluation {
  Form form = Form::Values;
  int tangents = 0;   ///< a row
  bool unit = false;  ///< the tangents are e_1 … e_D
  bool regularisers = false;
};

struct TileActivations final : Activations {
  TracePlan trace;
  Regularisers regularisers;

  /// The passes of a bottleneck's tangents through the decoder and the encoder.
  std::unique_ptr<TileActivations> decoder, probe;

  Evaluation evaluation;  ///< the last one's
  Columns columns;

  /// Entry l has (a, ȧ) after l layers, (z, u) and σ'(z) behind them; entry 0 is the input.
  std::vector<AlignedFloats> outputs, preactivations, slopes;
  std::vector<AlignedFloats> closed_tangents, closed_cotangents;  ///< of hidden layers 1, 2
  AlignedFloats closed_product;                                   ///< M d₁
  /// Where a context moves a layer: g, and g ⊙ (b + V c) + s, [feature][rows of the tile].
  std::vector<AlignedFloats> row_gates, row_offsets;
  AlignedFloats cotangents[2];
  AlignedFloats sums, gate_sums;  ///< [feature][kLanes]
  AlignedFloats summed;           ///< both, over lanes
  /// The array after l layers: of a tape one each; else two take turns, to stay in the first cache.
  AlignedFloats& output(int l, bool keep) { return outputs[keep || l < 2 ? l : 1 + (l - 1) % 2]; }

  AlignedFloats transposed;  ///< a block of aᵀ
  AlignedFloats matrix;      ///< M̄ or P of one tile
};

inline void reserve(AlignedFloats& memory, std::size_t floats) {
  if (memory.size() < floats) memory.resize(floats, 0.f);
}

struct LayerGradient {
  AlignedFloats weight;  ///< (out, padded depth) or (depth, padded out); of hyper unused
  std::vector<float> bias, shift, gate_weight, gate_bias;  ///< (out)
  float beta = 0;
  std::vector<float> hyper0_weight, hyper0_bias, hyper2_weight, hyper2_bias;
};

struct NetGradient final : GradientSlot {
  std::vector<LayerGradient> layers;
  AlignedFloats m_bar;  ///< closed-form trace, two hidden layers, ungated: M̄ (H₂, padded H₁)
  AlignedFloats context;  ///< (P, padded C)
  bool finished = false;  ///< M̄ is in the sums of the weights

  NetGradient(const std::vector<Layer>& net, bool keeps_m_bar, const ContextMap& map)
      : layers(net.size()), context(std::size_t(map.terms) * padded_features(map.size)) {
    for (std::size_t l = 0; l < net.size(); ++l) {
      const Layer& layer = net[l];
      LayerGradient& gradient = layers[l];
      for (auto* vector :
           {&gradient.bias, &gradient.shift, &gradient.gate_weight, &gradient.gate_bias})
        vector->resize(layer.out());
      if (layer.hyper()) {
        const std::size_t outputs = layer.hypernet_outputs();
        gradient.hyper0_weight.resize(kHypernetUnits);
        gradient.hyper0_bias.resize(kHypernetUnits);
        gradient.hyper2_weight.resize(outputs * kHypernetUnits);
        gradient.hyper2_bias.resize(outputs);
      } else {
        gradient.weight.resize(std::size_t(layer.sums_transposed() ? layer.depth() : layer.out()) *
                               layer.sums_stride());
      }
    }
    if (keeps_m_bar) m_bar.resize(std::size_t(net[1].out()) * padded_features(net[0].out()));
    clear();
  }

  /// Every array that sums are kept in.
  std::vector<std::span<float>> arrays() {
    std::vector<std::span<float>> all{m_bar, context};
    for (LayerGradient& layer : layers) {
      all.push_back(layer.weight);
      all.emplace_back(&layer.beta, 1);
      for (auto* vector :
           {&layer.bias, &layer.shift, &layer.gate_weight, &layer.gate_bias, &layer.hyper0_weight,
            &layer.hyper0_bias, &layer.hyper2_weight, &layer.hyper2_bias})
        all.push_back(*vector);
    }
    return all;
  }

  void clear() override {
    finished = false;
    for (const std::span<float> array : arrays()) std::fill(array.begin(), array.end(), 0.f);
  }
};

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

/// Where the sums of each layer's W̄ lie.
template <class Weights>
std::vector<WeightSums> weight_sums(const std::vector<Layer>& net, Weights weights) {
  std::vector<WeightSums> sums;
  for (std::size_t l = 0; l < net.size(); ++l) {
    const int stride = net[l].sums_stride();
    if (net[l].sums_transposed())
      sums.push_back({weights(l), 1, stride});
    else
      sums.push_back({weights(l), stride, 1});
  }
  return sums;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
