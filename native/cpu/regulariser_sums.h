// The sums over a row that regularisers are made of (core/regularisers.h), kLanes rows at a time,
// and their pullback.
#pragma once

#include "core/regularisers.h"
#include "cpu/panels.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// f and its tangents J ε_k at one strip of rows, as the last layer left them; a residual net's
/// field is less z, its tangents less ε_k.
struct StripField {
  Panels input, output;
  int column;  ///< of the values; the tangents' follow
  int dimension, tangents;
  float tangent_weight;  ///< 1/K of probes, 1 of unit vectors
  bool residual;
  int first_tangent = 0;  ///< number of the first, where tangents come in several passes
  bool first = true;      ///< of these passes, in which sums over values count

  /// f in channel 0, J ε_k in channel 1 + k.
  Vec at(int channel, int i) const {
    const Vec value = load(output.column(column + channel) + i * kFeatureStride);
    return residual ? value - load(input.column(column + channel) + i * kFeatureStride) : value;
  }
  Vec velocity(int i) const { return at(0, i); }
  /// With unit vectors: J_ij, j counted from the first tangent.
  Vec tangent(int j, int i) const { return at(1 + j, i); }
  int number(int j) const { return first_tangent + j; }
  /// (fᵀJ)_j
  Vec along(int j) const {
    Vec sum = {};
    for (int i = 0; i < dimension; ++i) sum = fma(velocity(i), tangent(j, i), sum);
    return sum;
  }
};

inline Vec row_sum(RowSum kind, const StripField& field) {
  Vec sum = {};
  switch (kind) {
    case RowSum::AbsoluteVelocity:
      if (!field.first) return sum;
      for (int i = 0; i < field.dimension; ++i) sum = sum + abs(field.velocity(i));
      return sum;
    case RowSum::SquaredVelocity:
      if (!field.first) return sum;
      for (int i = 0; i < field.dimension; ++i)
        sum = fma(field.velocity(i), field.velocity(i), sum);
      return sum;
    case RowSum::SquaredTangents:
      for (int k = 0; k < field.tangents; ++k)
        for (int i = 0; i < field.dimension; ++i)
          sum = fma(field.tangent(k, i), field.tangent(k, i), sum);
      return sum * splat(field.tangent_weight);
    case RowSum::SquaredDiagonal:
      for (int j = 0; j < field.tangents; ++j) {
        const Vec entry = field.tangent(j, field.number(j));
        sum = fma(entry, entry, sum);
      }
      return sum;
    case RowSum::SquaredOffDiagonal:
      for (int j = 0; j < field.tangents; ++j)
        for (int i = 0; i < field.dimension; ++i)
          if (i != field.number(j)) sum = fma(field.tangent(j, i), field.tangent(j, i), sum);
      return sum;
    case RowSum::SquaredDirectional:
      for (int j = 0; j < field.tangents; ++j) sum = fma(field.along(j), field.along(j), sum);
      return sum;
  }
  return sum;
}

inline Vec regulariser_value(const Regulariser& regulariser, int dimension, Vec sum) {
  return splat(float(regulariser.scale(dimension))) * (regulariser.root ? root(sum) : sum);
}

/// Adds to the cotangents of f and its tangents, which lie in `bars` as the field does in `output`;
/// `sum` is the row's sum over all passes.
inline void pull_regulariser(const Regulariser& regulariser, const StripField& field, Vec sum,
                             Vec integrand_bar, const Panels& bars) {
  Vec bar = integrand_bar * splat(float(regulariser.scale(field.dimension)));
  if (regulariser.root) {
    const Vec value = root(sum), zero = {};
    bar = select(value > zero, bar / (value + value), zero);
  }
  const auto add = [&](int channel, int i, Vec factor, Vec value) {
    float* const to = bars.column(field.column + channel) + i * kFeatureStride;
    store(to, fma(factor, value, load(to)));
  };
  const Vec twice = bar + bar;
  const int dimension = field.dimension;
  switch (regulariser.sum) {
    case RowSum::AbsoluteVelocity:
      if (!field.first) return;
      for (int i = 0; i < dimension; ++i) {
        const Vec f = field.velocity(i), zero = {};
        add(0, i, bar, select(f > zero, splat(1.f), select(f < zero, splat(-1.f), zero)));
      }
      return;
    case RowSum::SquaredVelocity:
      if (!field.first) return;
      for (int i = 0; i < dimension; ++i) add(0, i, twice, field.velocity(i));
      return;
    case RowSum::SquaredTangents:
      for (int k = 0; k < field.tangents; ++k)
        for (int i = 0; i < dimension; ++i)
          add(1 + k, i, twice * splat(field.tangent_weight), field.tangent(k, i));
      return;
    case RowSum::SquaredDiagonal:
      for (int j = 0; j < field.tangents; ++j)
        add(1 + j, field.number(j), twice, field.tangent(j, field.number(j)));
      return;
    case RowSum::SquaredOffDiagonal:
      for (int j = 0; j < field.tangents; ++j)
        for (int i = 0; i < dimension; ++i)
          if (i != field.number(j)) add(1 + j, i, twice, field.tangent(j, i));
      return;
    case RowSum::SquaredDirectional:
      for (int j = 0; j < field.tangents; ++j) {
        const Vec along_bar = twice * field.along(j);
        for (int i = 0; i < dimension; ++i) {
          add(0, i, along_bar, field.tangent(j, i));
          add(1 + j, i, along_bar, field.velocity(i));
        }
      }
      return;
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
