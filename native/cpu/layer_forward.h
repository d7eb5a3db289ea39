// From sums to activations: z = g ⊙ (W a) + c, a' = σ(z); u = g ⊙ (W ȧ), ȧ' = σ'(z) ⊙ u, in place.
#pragma once

#include "cpu/activations.h"
#include "cpu/low_rank_terms.h"
#include "cpu/product.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// How many tangents a kernel is compiled for: 0, 1, 2, or any number.
inline constexpr int kAnyTangents = -1;

/// A vector for each feature, the same for all rows of the tile or with an entry for each of them.
struct RowVectors {
  const float* data = nullptr;
  int feature_stride = kLanes, strip_stride = 0;  ///< own entries: rows of the tile, kLanes

  const float* feature(int index) const { return data + std::size_t(index) * feature_stride; }
  Vec at(int feature_index, int strip) const {
    return load(feature(feature_index) + strip * strip_stride);
  }
};

struct ForwardArguments {
  const PackedMatrix* matrix;  ///< W
  int rows;                    ///< of W: units of the layer
  Columns columns;
  Panels in, out;
  RowVectors gate, offset;          ///< g, and c = g ⊙ b + s
  float beta = 1;                   ///< of swish
  float* preactivations = nullptr;  ///< (z, u), laid out as `out`; null: not kept
  float* slopes = nullptr;          ///< σ'(z), [feature][rows of the tile]; null: not kept
  /// Closed-form traces: σ'(z) ⊙ g, laid out as `out`, stands for the tangent of u = g; else null.
  float* closed_tangents = nullptr;
  LowRankSum low_rank = {};  ///< is added to W a and W ȧ
};

/// Pointers to one unit's columns of one strip and what belongs to it, all of which advance
/// together.
template <class Activation, bool Gated, bool Keeps>
struct ForwardUnit {
  const ForwardArguments& s;
  const float *gate, *offset;
  float* slope;

  ForwardUnit(const ForwardArguments& arguments, int j)
      : s(arguments),
        gate(s.gate.feature(j)),
        offset(s.offset.feature(j)),
        slope(Keeps && s.slopes ? s.slopes + std::size_t(j) * s.columns.strips * kLanes : nullptr) {
  }

  /// z → a; returns σ'(z) and g for the tangents.
  [[gnu::always_inline]] Vec value(std::size_t at, Vec& gate_at) const {
    gate_at = Gated ? load(gate) : splat(1.f);
    Vec z = load(s.out.data + at);
    z = Gated ? fma(gate_at, z, load(offset)) : z + load(offset);
    Vec a, derivative;
    Activation::evaluate(z, splat(s.beta), a, derivative);
    store(s.out.data + at, a);
    if constexpr (Keeps) {
      if (s.preactivations) store(s.preactivations + at, z);
      if (Activation::kKeepsSlope && slope) store(slope, derivative);
      if (s.closed_tangents) store(s.closed_tangents + at, derivative * gate_at);
    }
    return derivative;
  }
  /// u → ȧ.
  [[gnu::always_inline]] void tangent(std::size_t at, Vec derivative, Vec gate_at) const {
    Vec u = load(s.out.data + at);
    if constexpr (Gated) u = gate_at * u;
    if constexpr (Keeps)
      if (s.preactivations) store(s.preactivations + at, u);
    store(s.out.data + at, derivative * u);
  }
  [[gnu::always_inline]] void next_strip() {
    gate += s.gate.strip_stride;
    offset += s.offset.strip_stride;
    if constexpr (Keeps && Activation::kKeepsSlope)
      if (slope) slope += kLanes;
  }
};

/// Activations of rows whose sums lie in `out`. Tangents: 0, 1, 2, or kAnyTangents.
template <class Activation, int Tangents, bool Gated, bool Keeps>
void activate_rows(const ForwardArguments& arguments, int first, int last) {
  const ForwardArguments s = arguments;
  const int tangents = Tangents == kAnyTangents ? s.columns.channels - 1 : Tangents;
  const int strips = s.columns.strips;
  for (int j = first; j < last; ++j) {
    ForwardUnit<Activation, Gated, Keeps> unit(s, j);
    ColumnWalk<Tangents> columns{std::size_t(j) * kFeatureStride, s.out.stride};
    for (int g = 0; g < strips; ++g) {
      Vec gate;
      const Vec slope = unit.value(columns.value(), gate);
#pragma GCC unroll 2
      for (int k = 0; k < tangents; ++k) unit.tangent(columns.tangent(), slope, gate);
      unit.next_strip();
    }
  }
}

/// A whole layer: sums and activations, block of rows by block, so that the sums are still in the
/// first cache.
template <class Activation, int Tangents, bool Gated, bool Keeps>
void forward_layer(const ForwardArguments& s) {
  for (int block = 0; block <= s.matrix->full_blocks(); ++block) {
    multiply_panels(*s.matrix, block, s.in, s.out, s.columns.panels());
    const int first = block * kBlockRows, last = std::min(first + kBlockRows, s.rows);
    if (s.low_rank.factor.data) spread_terms(s.low_rank, s.columns, s.out, first, last);
    activate_rows<Activation, Tangents, Gated, Keeps>(s, first, last);
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
