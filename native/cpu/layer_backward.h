// The reverse of layer_forward.h: z̄ = σ' ā + Σ σ''u ǡ, ū = σ' ǡ, and the sums over rows that the
// gradients of gates, shifts and biases need.
//
// The gate of a layer multiplies z̄ and ū at once, as both the weight gradient and Wᵀ want them
// gated. With q the gate's logit, q̄ = (1 − g) Σ z̄ (z − s) + ū u: no division by g, which may
// underflow.
#pragma once

#include "cpu/layer_forward.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

struct BackwardArguments {
  const PackedMatrix* matrix =
      nullptr;   ///< Wᵀ of the layer above; null: `cotangents` are there already
  Panels above;  ///< g ⊙ (z̄, ū) of the layer above
  int rows;      ///< units of this layer
  Columns columns;
  Panels cotangents;                      ///< (ā, ǡ), then g ⊙ (z̄, ū)
  const float* activations = nullptr;     ///< (a, ȧ), laid out as `cotangents`
  const float* preactivations = nullptr;  ///< (z, u), likewise
  const float* slopes = nullptr;          ///< [feature][rows of the tile]
  RowVectors gate, shift;                 ///< g, s
  float beta = 1;
  /// Σ z̄ over strips, [feature][kLanes]; by strip it is added to [feature][rows of the tile].
  float* sums = nullptr;
  float* gate_sums = nullptr;  ///< Σ z̄ (z − s) + ū u, likewise; of gated layers
  /// Closed-form traces: the tangents σ' g and, in place, their cotangents (ū out); else null.
  const float* closed_tangents = nullptr;
  float* closed_cotangents = nullptr;
  LowRankSum low_rank = {};  ///< of the layer above, is added to (ā, ǡ)
};

/// One unit: its running sums over strips, and what belongs to it, which advances with the strips.
template <class Activation, bool Gated>
struct BackwardUnit {
  const BackwardArguments& s;
  const float *gate, *shift, *slope;
  Vec sum = {}, gate_sum = {};
  Vec& beta_sum;

  // What belongs to the present strip.
  Slopes slopes, beta_slopes;
  Vec z_bar, gate_at;

  BackwardUnit(const BackwardArguments& arguments, int j, Vec& beta_sum)
      : s(arguments),
        gate(s.gate.feature(j)),
        shift(s.shift.feature(j)),
        slope(s.slopes + std::size_t(j) * s.columns.strips * kLanes),
        beta_sum(beta_sum) {}

  [[gnu::always_inline]] void begin(std::size_t at) {
    Tape tape;
    tape.a = load(s.activations + at);
    if constexpr (Activation::kKeepsPreactivation) tape.z = load(s.preactivations + at);
    if constexpr (Activation::kKeepsSlope) tape.slope = load(slope);
    slopes = Activation::pullback(tape, splat(s.beta));
    const Vec a_bar = load(s.cotangents.data + at);
    z_bar = slopes.slope * a_bar;
    gate_at = load(gate);
    if constexpr (Activation::kHasBeta) {
      beta_slopes = Activation::beta_slopes(tape.z, splat(s.beta));
      beta_sum = fma(beta_slopes.slope, a_bar, beta_sum);
    }
  }
  /// ǡ → ū, returned; z̄ and the sums take their share.
  [[gnu::always_inline]] Vec share(Vec tangent_bar, Vec tangent, Vec u) {
    const Vec u_bar = slopes.slope * tangent_bar;
    const Vec bent = Activation::kBendsPreactivation ? u : tangent;
    z_bar = fma(slopes.bend * bent, tangent_bar, z_bar);
    if constexpr (Activation::kHasBeta) beta_sum = fma(beta_slopes.bend * u, tangent_bar, beta_sum);
    if constexpr (Gated) gate_sum = fma(u_bar, u, gate_sum);
    return u_bar;
  }
  [[gnu::always_inline]] void tangent(std::size_t at) {
    Vec u = {}, tangent = {};
    if constexpr (Activation::kBendsPreactivation || Gated) u = load(s.preactivations + at);
    if constexpr (!Activation::kBendsPreactivation) tangent = load(s.activations + at);
    const Vec u_bar = share(load(s.cotangents.data + at), tangent, u);
    store(s.cotangents.data + at, Gated ? gate_at * u_bar : u_bar);
  }
  /// Closed-form traces: the tangent of u = g.
  [[gnu::always_inline]] void closed_tangent(std::size_t at) {
    store(s.closed_cotangents + at,
          share(load(s.closed_cotangents + at), load(s.closed_tangents + at), gate_at));
  }
  [[gnu::always_inline]] void finish(std::size_t at) {
    sum = sum + z_bar;
    if constexpr (Gated) {
      gate_sum = fma(z_bar, load(s.preactivations + at) - load(shift), gate_sum);
      z_bar = gate_at * z_bar;
    }
    store(s.cotangents.data + at, z_bar);
    gate += s.gate.strip_stride;
    shift += s.shift.strip_stride;
    slope += kLanes;
  }
};

[[gnu::always_inline]] inline void add_to(float* to, Vec value) { store(to, load(to) + value); }

/// Rows whose (ā, ǡ) lie in `cotangents`. Tangents: 0, 1, 2, or kAnyTangents. Returns β̄.
template <class Activation, int Tangents, bool Gated, bool ByStrip = false>
Vec pull_back_rows(const BackwardArguments& arguments, int first, int last) {
  const BackwardArguments s = arguments;
  const int tangents = Tangents == kAnyTangents ? s.columns.channels - 1 : Tangents;
  Vec beta_sum = {};
  for (int j = first; j < last; ++j) {
    BackwardUnit<Activation, Gated> unit(s, j, beta_sum);
    ColumnWalk<Tangents> columns{std::size_t(j) * kFeatureStride, s.cotangents.stride};
    for (int g = 0; g < s.columns.strips; ++g) {
      const std::size_t at = columns.value();
      unit.begin(at);
      if (Tangents == 0 && s.closed_tangents) unit.closed_tangent(at);
#pragma GCC unroll 2
      for (int k = 0; k < tangents; ++k) unit.tangent(columns.tangent());
      unit.finish(at);
      if constexpr (ByStrip) {
        const std::size_t strip = (std::size_t(j) * s.columns.strips + g) * kLanes;
        add_to(s.sums + strip, unit.sum);
        if constexpr (Gated) add_to(s.gate_sums + strip, unit.gate_sum);
        unit.sum = unit.gate_sum = Vec{};
      }
    }
    if constexpr (ByStrip) continue;
    store(s.sums + std::size_t(j) * kLanes, unit.sum);
    if constexpr (Gated) store(s.gate_sums + std::size_t(j) * kLanes, unit.gate_sum);
  }
  return beta_sum;
}

/// A whole layer: (ā, ǡ) = Wᵀ (cotangents above), and their pullback through the activation, block
/// of rows by block. Returns β̄, zero but for swish.
template <class Activation, int Tangents, bool Gated>
Vec backward_layer(const BackwardArguments& s) {
  if (!s.matrix) return pull_back_rows<Activation, Tangents, Gated>(s, 0, s.rows);
  Vec beta_bar = {};
  for (int block = 0; block <= s.matrix->full_blocks(); ++block) {
    multiply_panels(*s.matrix, block, s.above, s.cotangents, s.columns.panels());
    const int first = block * kBlockRows, last = std::min(first + kBlockRows, s.rows);
    if (s.low_rank.factor.data) spread_terms(s.low_rank, s.columns, s.cotangents, first, last);
    beta_bar = beta_bar + pull_back_rows<Activation, Tangents, Gated>(s, first, last);
  }
  return beta_bar;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
