// What a context adds to the rows of a tile: r = M c, with the rows of M in order V of the first
// layer and U of the gates of each hidden layer. A row's r is constant along its trajectory.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/net_layers.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

struct ContextMap {
  static constexpr int kNone = -1;
  int size = 0;                           ///< C
  int terms = 0;                          ///< P
  int bias = kNone;                       ///< first term of the first layer's bias
  std::vector<int> gates;                 ///< first term of a layer's gates, or kNone
  std::vector<float> matrix, transposed;  ///< M (P, C), Mᵀ (C, P)

  explicit ContextMap(const std::vector<Layer>& layers, int context_size) : size(context_size) {
    const auto place = [&](std::size_t offset, int out) {
      if (offset == kAbsent) return kNone;
      terms += out;
      return terms - out;
    };
    bias = place(layers.front().offsets.context, layers.front().out());
    for (const Layer& layer : layers)
      gates.push_back(place(layer.offsets.context_gate, layer.out()));
  }

  bool moves_gates(int l) const { return gates[l] != kNone; }
  bool moves(int l) const { return moves_gates(l) || (l == 0 && bias != kNone); }

  /// Calls visit(offset in the flat buffer, first row of M, rows) for each of the layers' matrices.
  template <class Visit>
  void for_each_part(const std::vector<Layer>& layers, Visit visit) const {
    if (bias != kNone) visit(layers.front().offsets.context, bias, layers.front().out());
    for (std::size_t l = 0; l < layers.size(); ++l)
      if (gates[l] != kNone) visit(layers[l].offsets.context_gate, gates[l], layers[l].out());
  }

  void pack(const std::vector<Layer>& layers) {
    matrix.resize(std::size_t(terms) * size);
    transposed.resize(matrix.size());
    for_each_part(layers, [&](std::size_t offset, int first, int rows) {
      std::copy_n(layers.front().parameters + offset, std::size_t(rows) * size,
                  matrix.begin() + std::size_t(first) * size);
    });
    for (int term = 0; term < terms; ++term)
      for (int k = 0; k < size; ++k)
        transposed[std::size_t(k) * terms + term] = matrix[std::size_t(term) * size + k];
  }
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
