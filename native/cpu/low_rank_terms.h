// Terms of rank k that differ from row to row: y += (x U) V, where U and V are numbers of the rows
// of a tile. A number is read once and serves a row's value and its tangents; that memory, not
// arithmetic, bounds it: k (in + out) floats a row, 2 (1 + tangents) FLOPs each, 10 MB a tile of 32
// rows at k = 20 and 2048 units. So U and V both lie as [feature][k][rows] and are read from front
// to end, ahead of their use, while sums stay in registers; and T̄ is added to once for all
// evaluations whose factors are at hand.
#pragma once

#include <algorithm>
#include <span>
#include <type_traits>

#include "cpu/panels.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// A matrix (features, k) a row.
struct LowRankTerms {
  const float* data = nullptr;  ///< [number][rows]
  std::size_t first = 0;        ///< number (0, 0), counted from `data`
  int rank = 0;
  std::size_t rows = 0;  ///< of the tile

  std::size_t at(int feature, int k) const {
    return (first + std::size_t(feature) * rank + std::size_t(k)) * rows;
  }
};

/// Σ_k s_k T[f, k] of all columns.
struct LowRankSum {
  Panels factor;  ///< s, k features
  LowRankTerms terms;
};

/// What one evaluation adds to T̄: from[f] s_k over a row's value and tangents.
struct LowRankFactors {
  Panels from, s;
  int channels;
};

/// Bytes that numbers are asked for before they are read: several lines of each of the streams.
inline constexpr std::size_t kAhead = 8192;
[[gnu::always_inline]] inline void fetch_ahead(const float* number) {
  __builtin_prefetch(reinterpret_cast<const char*>(number) + kAhead, 0, 2);
}

/// Calls block(integral constant of a size, i) over [first, last): `Most` at a time, then one.
template <int Most, class Block>
[[gnu::always_inline]] inline void in_blocks(int first, int last, const Block& block) {
  for (; first + Most <= last; first += Most) block(std::integral_constant<int, Most>(), first);
  for (; first < last; ++first) block(std::integral_constant<int, 1>(), first);
}

/// Calls use(integral constant of columns, strip, first column) for the columns of each strip, two
/// at a time or one.
template <class Use>
[[gnu::always_inline]] inline void for_each_columns(const Columns& columns, const Use& use) {
  for (int g = 0; g < columns.strips; ++g)
    in_blocks<2>(0, columns.channels,
                 [&](auto count, int channel) { use(count, g, g * columns.channels + channel); });
}

/// Adds to `Features` features from f on, in `Count` columns.
template <int Features, int Count>
void spread_block(const LowRankSum& sum, const Panels& to, int f, int strip, int column) {
  const LowRankTerms& terms = sum.terms;
  const std::size_t feature_step = std::size_t(terms.rank) * terms.rows;
  const float* numbers = terms.data + terms.at(f, 0) + strip * kLanes;
  const float* s[Count];
  float* places[Count];
  Vec sums[Features][Count];
#pragma GCC unroll 2
  for (int c = 0; c < Count; ++c) {
    s[c] = sum.factor.column(column + c);
    places[c] = to.column(column + c) + std::size_t(f) * kFeatureStride;
#pragma GCC unroll 6
    for (int i = 0; i < Features; ++i) sums[i][c] = load(places[c] + i * kFeatureStride);
  }
  for (int k = 0; k < terms.rank; ++k, numbers += terms.rows) {
    Vec factor[Count];
#pragma GCC unroll 2
    for (int c = 0; c < Count; ++c) factor[c] = load(s[c] + std::size_t(k) * kFeatureStride);
#pragma GCC unroll 6
    for (int i = 0; i < Features; ++i) {
      fetch_ahead(numbers + i * feature_step);
      const Vec number = load(numbers + i * feature_step);
#pragma GCC unroll 2
      for (int c = 0; c < Count; ++c) sums[i][c] = fma(factor[c], number, sums[i][c]);
    }
  }
#pragma GCC unroll 2
  for (int c = 0; c < Count; ++c)
#pragma GCC unroll 6
    for (int i = 0; i < Features; ++i) store(places[c] + i * kFeatureStride, sums[i][c]);
}

/// to[f] += Σ_k s_k T[f, k] for features first … last − 1.
inline void spread_terms(const LowRankSum& sum, const Columns& columns, const Panels& to, int first,
                         int last) {
  constexpr int kFeatures = kRegisters >= 32 ? 6 : 3;  // 12 sums of 32 registers, or 6 of 16
  in_blocks<kFeatures>(
      first, last, [&]<int Features>(std::integral_constant<int, Features>, int f) {
        for_each_columns(columns,
                         [&]<int Count>(std::integral_constant<int, Count>, int strip, int column) {
                           spread_block<Features, Count>(sum, to, f, strip, column);
                         });
      });
}

/// Adds `count` features from f on to `Ranks` sums from k on, of `Count` columns.
template <int Ranks, int Count>
void contract_block(const Panels& from, int f, int count, const LowRankTerms& terms,
                    const Panels& s, int k, int strip, int column) {
  const std::size_t feature_step = std::size_t(terms.rank) * terms.rows;
  const float* numbers = terms.data + terms.at(f, k) + strip * kLanes;
  const float* in[Count];
  float* places[Count];
  Vec sums[Ranks][Count];
#pragma GCC unroll 2
  for (int c = 0; c < Count; ++c) {
    in[c] = from.column(column + c) + std::size_t(f) * kFeatureStride;
    places[c] = s.column(column + c) + std::size_t(k) * kFeatureStride;
#pragma GCC unroll 8
    for (int i = 0; i < Ranks; ++i) sums[i][c] = load(places[c] + i * kFeatureStride);
  }
  for (int i = 0; i < count; ++i, numbers += feature_step) {
    Vec value[Count];
#pragma GCC unroll 2
    for (int c = 0; c < Count; ++c) value[c] = load(in[c] + std::size_t(i) * kFeatureStride);
#pragma GCC unroll 8
    for (int j = 0; j < Ranks; ++j) {
      fetch_ahead(numbers + j * terms.rows);
      const Vec number = load(numbers + j * terms.rows);
#pragma GCC unroll 2
      for (int c = 0; c < Count; ++c) sums[j][c] = fma(value[c], number, sums[j][c]);
    }
  }
#pragma GCC unroll 2
  for (int c = 0; c < Count; ++c)
#pragma GCC unroll 8
    for (int i = 0; i < Ranks; ++i) store(places[c] + i * kFeatureStride, sums[i][c]);
}

/// s_k ← Σ_f from[f] T[f, k].
inline void contract_terms(const Panels& from, int features, const LowRankTerms& terms,
                           const Columns& columns, const Panels& s) {
  // 16 sums of 32 registers, or 8 of 16; features whose numbers stay in the first cache.
  constexpr int kTogether = kRegisters >= 32 ? 8 : 4, kFeatures = 8;
  for (int column = 0; column < columns.count(); ++column)
    for (int k = 0; k < terms.rank; ++k) store(s.column(column) + k * kFeatureStride, Vec{});
  for (int f = 0; f < features; f += kFeatures) {
    const int count = std::min(kFeatures, features - f);
    for_each_columns(
        columns, [&]<int Count>(std::integral_constant<int, Count>, int strip, int column) {
          in_blocks<kTogether>(
              0, terms.rank, [&]<int Ranks>(std::integral_constant<int, Ranks>, int k) {
                contract_block<Ranks, Count>(from, f, count, terms, s, k, strip, column);
              });
        });
  }
}

template <int Features, int Ranks>
void pull_block(std::span<const LowRankFactors> evaluations, const LowRankTerms& terms, int f,
                int k, int strip, float* bars) {
  const std::size_t feature_step = std::size_t(terms.rank) * terms.rows;
  float* const bar = bars + terms.at(f, k) + strip * kLanes;
  Vec sums[Features][Ranks];
#pragma GCC unroll 4
  for (int i = 0; i < Features; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Ranks; ++j) {
      fetch_ahead(bar + i * feature_step + j * terms.rows);
      sums[i][j] = load(bar + i * feature_step + j * terms.rows);
    }
  for (const LowRankFactors& one : evaluations)
    for (int c = strip * one.channels; c < (strip + 1) * one.channels; ++c) {
      const float* const from = one.from.column(c) + std::size_t(f) * kFeatureStride;
      const float* const s = one.s.column(c) + std::size_t(k) * kFeatureStride;
      Vec factor[Ranks];
#pragma GCC unroll 4
      for (int j = 0; j < Ranks; ++j) factor[j] = load(s + j * kFeatureStride);
#pragma GCC unroll 4
      for (int i = 0; i < Features; ++i) {
        const Vec value = load(from + i * kFeatureStride);
#pragma GCC unroll 4
        for (int j = 0; j < Ranks; ++j) sums[i][j] = fma(value, factor[j], sums[i][j]);
      }
    }
#pragma GCC unroll 4
  for (int i = 0; i < Features; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Ranks; ++j) store(bar + i * feature_step + j * terms.rows, sums[i][j]);
}

/// T̄[f, k] += Σ from[f] s_k over all evaluations, and a row's value and tangents; `bars` lies as
/// `terms.data` does.
inline void pull_terms(std::span<const LowRankFactors> evaluations, int features,
                       const LowRankTerms& terms, float* bars) {
  constexpr int kFeatures = kRegisters >= 32 ? 4 : 2, kTogether = 4;
  const int strips = static_cast<int>(terms.rows) / kLanes;
  in_blocks<kFeatures>(
      0, features, [&]<int Features>(std::integral_constant<int, Features>, int f) {
        in_blocks<kTogether>(0, terms.rank,
                             [&]<int Ranks>(std::integral_constant<int, Ranks>, int k) {
                               for (int strip = 0; strip < strips; ++strip)
                                 pull_block<Features, Ranks>(evaluations, terms, f, k, strip, bars);
                             });
      });
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
