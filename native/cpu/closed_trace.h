// The exact trace of nets with one or two hidden layers in closed form.
//
// With d_l = σ'(z_l) ⊙ g_l: one hidden layer, tr = cᵀ d₁ with c_j = Σ_i W₁[j,i] g₂[i] W₂[i,j]; two,
// tr = d₂ᵀ M d₁ with M = W₂ ∘ Rᵀ, R = W₁ diag(g₃) W₃: 2 H₁ H₂ FLOPs a row beside the values, as
// many as a tangent. R takes 2 D H₁ H₂ a distinct output gate, and so does its pullback.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "cpu/net_layers.h"
#include "cpu/weight_gradient.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

struct ClosedTrace {
  std::vector<float> c;          ///< one hidden layer: (H₁)
  AlignedFloats r;               ///< two: Rᵀ (H₂, padded H₁)
  PackedMatrix m, m_transposed;  ///< M (H₂, H₁), (H₁, H₂)

  void build(const std::vector<Layer>& layers, const float* output_gate);
};

/// W (out, in) with rows padded to whole blocks of 2 kLanes, columns scaled.
inline AlignedFloats padded_weight(const Layer& layer) {
  const int stride = padded_features(layer.in());
  AlignedFloats padded(std::size_t(layer.out()) * stride, 0.f);
  for (int j = 0; j < layer.out(); ++j)
    std::copy_n(layer.weight() + std::size_t(j) * layer.weight_stride(), layer.in(),
                padded.data() + std::size_t(j) * stride);
  return padded;
}

/// `output_gate`: g of the last layer, [out][kLanes].
inline void ClosedTrace::build(const std::vector<Layer>& layers, const float* output_gate) {
  const Layer &first = layers.front(), &last = layers.back();
  const int dimension = last.out(), stride = first.weight_stride();
  if (layers.size() == 2) {
    c.assign(first.out(), 0.f);
    for (int i = 0; i < dimension; ++i) {
      const float gate = output_gate[std::size_t(i) * kLanes];
      const float* row = last.weight() + std::size_t(i) * last.weight_stride();
      for (int j = 0; j < first.out(); ++j)
        c[j] += first.weight()[std::size_t(j) * stride + i] * gate * row[j];
    }
    return;
  }
  // Rᵀ = (W₃ᵀ diag(g₃)) W₁ᵀ, of which accumulate_product takes the left factor as rows, the right
  // padded.
  const Layer& middle = layers[1];
  const int width = padded_features(first.out());
  std::vector<float> left(std::size_t(middle.out()) * dimension);
  AlignedFloats right(std::size_t(dimension) * width, 0.f);
  for (int i = 0; i < dimension; ++i) {
    const float gate = output_gate[std::size_t(i) * kLanes];
    const float* row = last.weight() + std::size_t(i) * last.weight_stride();
    for (int j = 0; j < middle.out(); ++j) left[std::size_t(j) * dimension + i] = gate * row[j];
  }
  for (int k = 0; k < first.out(); ++k)
    for (int i = 0; i < dimension; ++i)
      right[std::size_t(i) * width + k] = first.weight()[std::size_t(k) * stride + i];
  r.assign(std::size_t(middle.out()) * width, 0.f);
  accumulate_product(r.data(), width, left.data(), dimension, right.data(), width, middle.out(),
                     dimension, first.out());
  const auto element = [&](int j, int k) {
    return middle.weight()[std::size_t(j) * middle.weight_stride() + k] *
           r[std::size_t(j) * width + k];
  };
  m.pack(middle.out(), first.out(), element);
  m_transposed.pack_transposed(first.out(), middle.out(), element);
}

/// The sums of one layer's W̄.
struct WeightSums {
  float* data;
  int row_stride, column_stride;
  float& at(int row, int k) const {
    return data[std::size_t(row) * row_stride + std::size_t(k) * column_stride];
  }
  /// to[k] += scale W̄[row, first + k]
  void add_row(int row, int first, int count, float scale, float* to) const {
    const float* from = &at(row, first);
    if (column_stride == 1)
      for (int k = 0; k < count; ++k) to[k] += scale * from[k];
    else
      for (int k = 0; k < count; ++k) to[k] += scale * from[std::size_t(k) * column_stride];
  }
};

/// Adds what M̄ (H₂, padded H₁) contributes to the three W̄, unless `sums` is empty, and returns ḡ₃
/// (D).
inline std::vector<float> pull_back_closed_two(const std::vector<Layer>& layers,
                                               const ClosedTrace& closed, const float* output_gate,
                                               const float* m_bar,
                                               std::span<const WeightSums> sums) {
  const Layer &first = layers[0], &middle = layers[1], &last = layers[2];
  const int h1 = first.out(), h2 = middle.out(), dimension = last.out();
  const int width1 = padded_features(h1);
  AlignedFloats r_bar(std::size_t(h2) * width1, 0.f);  // R̄ᵀ = M̄ ∘ W₂ (H₂, padded H₁)
  for (int j = 0; j < h2; ++j) {
    const float* row = middle.weight() + std::size_t(j) * middle.weight_stride();
    for (int k = 0; k < h1; ++k)
      r_bar[std::size_t(j) * width1 + k] = m_bar[std::size_t(j) * width1 + k] * row[k];
  }
  AlignedFloats y(std::size_t(dimension) * width1, 0.f);  // W₃ R̄ᵀ (D, padded H₁)
  accumulate_product(y.data(), width1, last.weight(), last.weight_stride(), r_bar.data(), width1,
                     dimension, h2, h1);
  std::vector<float> gate_bar(dimension, 0.f);
  for (int i = 0; i < dimension; ++i)
    for (int k = 0; k < h1; ++k)
      gate_bar[i] += first.weight()[std::size_t(k) * first.weight_stride() + i] *
                     y[std::size_t(i) * width1 + k];
  if (sums.empty()) return gate_bar;

  const int width = padded_features(dimension);
  const AlignedFloats w1 = padded_weight(first);  // (H₁, padded D)
  AlignedFloats x(std::size_t(h2) * width, 0.f);  // R̄ᵀ W₁ (H₂, padded D)
  accumulate_product(x.data(), width, r_bar.data(), width1, w1.data(), width, h2, h1, dimension);
  for (int j = 0; j < h2; ++j) {
    const std::size_t row = std::size_t(j) * width1;
    if (sums[1].column_stride == 1) {
      float* sum = &sums[1].at(j, 0);
      for (int k = 0; k < h1; ++k) sum[k] += m_bar[row + k] * closed.r[row + k];
    } else {
      for (int k = 0; k < h1; ++k) sums[1].at(j, k) += m_bar[row + k] * closed.r[row + k];
    }
  }
  for (int i = 0; i < dimension; ++i) {
    const float gate = output_gate[std::size_t(i) * kLanes];
    for (int k = 0; k < h1; ++k) sums[0].at(k, i) += gate * y[std::size_t(i) * width1 + k];
    for (int j = 0; j < h2; ++j) sums[2].at(i, j) += gate * x[std::size_t(j) * width + i];
  }
  return gate_bar;
}

/// The same for one hidden layer and c̄ (H₁).
inline std::vector<float> pull_back_closed_one(const std::vector<Layer>& layers,
                                               const float* output_gate, const float* c_bar,
                                               std::span<const WeightSums> sums) {
  const Layer &first = layers[0], &last = layers[1];
  std::vector<float> gate_bar(last.out(), 0.f);
  for (int i = 0; i < last.out(); ++i) {
    const float gate = output_gate[std::size_t(i) * kLanes];
    for (int j = 0; j < first.out(); ++j) {
      const float w1 = first.weight()[std::size_t(j) * first.weight_stride() + i];
      const float w2 = last.weight()[std::size_t(i) * last.weight_stride() + j];
      gate_bar[i] += c_bar[j] * w1 * w2;
      if (sums.empty()) continue;
      sums[0].at(j, i) += c_bar[j] * gate * w2;
      sums[1].at(i, j) += c_bar[j] * gate * w1;
    }
  }
  return gate_bar;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
