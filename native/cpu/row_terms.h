// A context on a tile: its terms, and gates and offsets that differ from row to row because of
// them.
#pragma once

#include <algorithm>

#include "cpu/dense_tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline RowVectors DenseTileNet::gate_vectors(const NetTime& time, const TileActivations& memory,
                                             int l) const {
  if (!context_.moves_gates(l)) return time.vectors(time.layers[l].gate, strips_);
  return {memory.row_gates[l].data(), strips_ * kLanes, kLanes};
}

inline RowVectors DenseTileNet::offset_vectors(const NetTime& time, const TileActivations& memory,
                                               int l) const {
  if (!context_.moves(l)) return time.vectors(time.layers[l].offset, strips_);
  return {memory.row_offsets[l].data(), strips_ * kLanes, kLanes};
}

/// g = σ(a t + q + U c) and g ⊙ (b + V c) + s of a layer that the context moves.
inline void DenseTileNet::set_row_terms(const NetTime& time, int l, const float* terms,
                                        TileActivations& memory) const {
  const Layer& layer = layers_[l];
  const std::size_t rows = this->rows();
  const bool moves_gates = context_.moves_gates(l), moves_bias = context_.moves_bias(l);
  const float* logits = terms + std::size_t(std::max(context_.gates[l], 0)) * rows;
  const float* biases = terms + std::size_t(std::max(context_.biases[l], 0)) * rows;
  const RowVectors gates = time.vectors(time.layers[l].gate, strips_);
  const RowVectors offsets = time.vectors(time.layers[l].offset, strips_);
  const RowVectors shifts = time.vectors(time.layers[l].shift, strips_);
  const RowVectors times = time.time_vectors();
  reserve(memory.row_offsets[l], layer.out() * rows);
  if (moves_gates) reserve(memory.row_gates[l], layer.out() * rows);
  for (int j = 0; j < layer.out(); ++j)
    for (int g = 0; g < strips_; ++g) {
      const std::size_t at = std::size_t(j) * rows + std::size_t(g) * kLanes;
      Vec gate = gates.at(j, g), offset = offsets.at(j, g);
      if (moves_gates) {
        const Vec logit =
            fma(splat(layer.gate_weight[j]), times.at(0, g), splat(layer.gate_bias[j]));
        gate = sigmoid(logit + load(logits + at));
        offset = fma(gate, splat(layer.bias[j]), shifts.at(j, g));
        store(memory.row_gates[l].data() + at, gate);
      }
      if (moves_bias) offset = fma(gate, load(biases + at), offset);
      store(memory.row_offsets[l].data() + at, offset);
    }
}

/// Once the cotangents g ⊙ z̄ of layer l are complete.
inline void DenseTileNet::pull_back_bias_terms(Reverse& reverse, int l,
                                               const Panels& cotangents) const {
  const std::size_t rows = this->rows();
  float* biases = reverse.arrays.terms + std::size_t(context_.biases[l]) * rows;
  for (int g = 0; g < strips_; ++g) {
    const float* from = cotangents.column(g * reverse.memory.columns.channels);
    for (int j = 0; j < layers_[l].out(); ++j) {
      float* to = biases + std::size_t(j) * rows + std::size_t(g) * kLanes;
      store(to, load(to) + load(from + std::size_t(j) * kFeatureStride));
    }
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
