// What a context adds to the rows of a tile: r = M c, with the rows of M in order V of the layers
// that a branch begins with, and U of the gates of each hidden layer; an amortised context is r
// itself. A row's r is constant along its trajectory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "cpu/net_layers.h"
#include "cpu/weight_gradient.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

struct ContextMap {
  static constexpr int kNone = -1;
  int size = 0;                           ///< C
  int terms = 0;                          ///< P
  bool amortised = false;                 ///< r = c; there is no M
  std::vector<int> biases, gates;         ///< first term of a layer's bias and gates, or kNone
  std::vector<float> matrix, transposed;  ///< M (P, C), Mᵀ (C, P)
  /// Of an amortised context: the term of each of its numbers. V (k, out) of low-rank terms lies as
  /// (out, k) in r, so that kernels read U and V alike.
  std::vector<std::uint32_t> places;

  template <class AnyLayer>
  ContextMap(const std::vector<AnyLayer>& layers, int context_size)
      : size(context_size), amortised(layers.front().amortised.bias != kAbsent) {
    const auto place = [&](std::size_t offset, int out) {
      if (offset == kAbsent) return kNone;
      terms += out;
      return terms - out;
    };
    for (const AnyLayer& layer : layers)
      biases.push_back(amortised ? static_cast<int>(layer.amortised.bias)
                                 : place(layer.offsets.context, layer.out()));
    for (const AnyLayer& layer : layers)
      gates.push_back(place(layer.offsets.context_gate, layer.out()));
    if (!amortised) return;
    terms = size;
    places.resize(size);
    std::iota(places.begin(), places.end(), 0u);
    for (const AnyLayer& layer : layers) {
      const std::size_t rank = layer.amortised.rank, out = layer.out();
      for (std::size_t k = 0; k < rank; ++k)
        for (std::size_t f = 0; f < out; ++f)
          places[layer.amortised.right + k * out + f] =
              static_cast<std::uint32_t>(layer.amortised.right + f * rank + k);
    }
  }

  bool moves_gates(int l) const { return gates[l] != kNone; }
  bool moves_bias(int l) const { return biases[l] != kNone; }
  bool moves(int l) const { return moves_gates(l) || moves_bias(l); }
  /// Floats of the sums of M̄.
  std::size_t gradient_floats() const {
    return amortised ? 0 : std::size_t(terms) * padded_features(size);
  }

  /// Calls visit(offset in the flat buffer, first row of M, rows) for each of the layers' matrices.
  template <class AnyLayer, class Visit>
  void for_each_part(const std::vector<AnyLayer>& layers, Visit visit) const {
    if (amortised) return;
    for (std::size_t l = 0; l < layers.size(); ++l)
      if (biases[l] != kNone) visit(layers[l].offsets.context, biases[l], layers[l].out());
    for (std::size_t l = 0; l < layers.size(); ++l)
      if (gates[l] != kNone) visit(layers[l].offsets.context_gate, gates[l], layers[l].out());
  }

  template <class AnyLayer>
  void pack(const std::vector<AnyLayer>& layers) {
    if (amortised) return;
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

  /// c ([C][rows]) → r ([P][rows]), where there is M.
  void enter(const float* context, int rows, float* to) const {
    std::fill_n(to, std::size_t(terms) * rows, 0.f);
    accumulate_product(to, rows, matrix.data(), size, context, rows, terms, size, rows);
  }
  /// M̄ += r̄ cᵀ ((P, padded C)), c̄ += Mᵀ r̄; both may be null.
  void pull_back(const float* context, int rows, const float* terms_bar, float* matrix_bar,
                 float* context_bar) const {
    if (matrix_bar) {
      const int stride = padded_features(size);
      AlignedFloats by_row(std::size_t(rows) * stride, 0.f);  // cᵀ
      for (int k = 0; k < size; ++k)
        for (int row = 0; row < rows; ++row)
          by_row[std::size_t(row) * stride + k] = context[std::size_t(k) * rows + row];
      accumulate_product(matrix_bar, stride, terms_bar, rows, by_row.data(), stride, terms, rows,
                         size);
    }
    if (context_bar)
      accumulate_product(context_bar, rows, transposed.data(), terms, terms_bar, rows, size, terms,
                         rows);
  }
  /// Adds M̄, scaled, to the flat gradients.
  template <class AnyLayer>
  void reduce(const std::vector<AnyLayer>& layers, const float* matrix_bar, float scale,
              std::span<float> gradients) const {
    for_each_part(layers, [&](std::size_t offset, int first, int rows) {
      const int stride = padded_features(size);
      for (int j = 0; j < rows; ++j)
        for (int k = 0; k < size; ++k)
          gradients[offset + std::size_t(j) * size + k] +=
              scale * matrix_bar[std::size_t(first + j) * stride + k];
    });
  }
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
