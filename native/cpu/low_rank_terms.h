// Terms of rank k that differ from row to row: y += (x U) V, where U and V are numbers of the rows
// of a tile, [number][rows]. A number is read once and serves a row's value and its tangents; that
// memory, not arithmetic, bounds it: k (in + out) floats a row, 2 (1 + tangents) FLOPs each.
#pragma once

#include "cpu/panels.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// A matrix (features, k) a row: number (f, k) is `feature_step` f + `rank_step` k, and one of the
/// steps is 1.
struct LowRankTerms {
  const float* data = nullptr;  ///< [number][rows]
  std::size_t first = 0;        ///< number (0, 0), counted from `data`
  int rank = 0, feature_step = 0, rank_step = 0;
  std::size_t rows = 0;  ///< of the tile

  std::size_t at(int feature, int k) const {
    return (first + std::size_t(feature) * feature_step + std::size_t(k) * rank_step) * rows;
  }
  /// Visits the numbers of features first … last − 1 as they lie in memory.
  template <class Visit>
  [[gnu::always_inline]] void visit(int from, int last, const Visit& visit) const {
    if (rank_step == 1) {
      for (int f = from; f < last; ++f)
        for (int k = 0; k < rank; ++k) visit(f, k);
    } else {
      for (int k = 0; k < rank; ++k)
        for (int f = from; f < last; ++f) visit(f, k);
    }
  }
};

/// Σ_k s_k T[f, k] of all columns.
struct LowRankSum {
  Panels factor;  ///< s, k features
  LowRankTerms terms;
};

/// Calls use(column's place, lanes of the number at `number`) for every column of the tile.
template <class Use>
[[gnu::always_inline]] inline void for_each_column(const Columns& columns, const Use& use) {
  int column = 0;
  for (int g = 0; g < columns.strips; ++g)
    for (int c = 0; c < columns.channels; ++c, ++column) use(g, column);
}

/// to[f] += Σ_k s_k T[f, k] for features first … last − 1.
inline void spread_terms(const LowRankSum& sum, const Columns& columns, const Panels& to, int first,
                         int last) {
  const LowRankTerms& terms = sum.terms;
  terms.visit(first, last, [&](int f, int k) {
    const float* number = terms.data + terms.at(f, k);
    const std::size_t from_feature = std::size_t(k) * kFeatureStride;
    const std::size_t to_feature = std::size_t(f) * kFeatureStride;
    for_each_column(columns, [&](int g, int column) {
      float* place = to.column(column) + to_feature;
      store(place, fma(load(sum.factor.column(column) + from_feature), load(number + g * kLanes),
                       load(place)));
    });
  });
}

/// s_k ← Σ_f from[f] T[f, k].
inline void contract_terms(const Panels& from, int features, const LowRankTerms& terms,
                           const Columns& columns, const Panels& s) {
  for (int column = 0; column < columns.count(); ++column)
    for (int k = 0; k < terms.rank; ++k) store(s.column(column) + k * kFeatureStride, Vec{});
  terms.visit(0, features, [&](int f, int k) {
    const float* number = terms.data + terms.at(f, k);
    const std::size_t from_feature = std::size_t(f) * kFeatureStride;
    const std::size_t to_feature = std::size_t(k) * kFeatureStride;
    for_each_column(columns, [&](int g, int column) {
      float* place = s.column(column) + to_feature;
      store(place,
            fma(load(from.column(column) + from_feature), load(number + g * kLanes), load(place)));
    });
  });
}

/// T̄[f, k] += Σ from[f] s_k over a row's value and tangents; `bars` lies as `terms.data` does.
inline void pull_terms(const Panels& from, int features, const Panels& s, const LowRankTerms& terms,
                       const Columns& columns, float* bars) {
  terms.visit(0, features, [&](int f, int k) {
    float* bar = bars + terms.at(f, k);
    const std::size_t from_feature = std::size_t(f) * kFeatureStride;
    const std::size_t s_feature = std::size_t(k) * kFeatureStride;
    int column = 0;
    for (int g = 0; g < columns.strips; ++g) {
      Vec sum = load(bar + g * kLanes);
      for (int c = 0; c < columns.channels; ++c, ++column)
        sum =
            fma(load(from.column(column) + from_feature), load(s.column(column) + s_feature), sum);
      store(bar + g * kLanes, sum);
    }
  });
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
