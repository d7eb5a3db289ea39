// out = W in for columns of kLanes rows.
//
// Register budget of the micro-kernel: 6 × 2 sums + 2 columns + 1 weight = 15 of 16 (AVX2, SSE2); 8
// × 2 + 2 + 1 = 19 of 32 (AVX-512, NEON). Two units of latency four need eight sums at least;
// twelve leave them slack. 2 · rows · 2 · kLanes FLOPs for rows + 2 loads at each k.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cpu/aligned.h"
#include "cpu/panels.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline constexpr int kBlockRows = kRegisters >= 32 ? 12 : 6;

/// W (rows, depth) as the micro-kernel reads it: blocks of kBlockRows rows,
/// [block][depth][kBlockRows], and a last one of as many rows as are left: one, or an even number,
/// the odd one being zero.
struct PackedMatrix {
  int rows = 0, depth = 0;
  AlignedFloats values;

  int full_blocks() const { return rows / kBlockRows; }
  int tail_rows() const {
    const int left = rows % kBlockRows;
    return left == 1 ? 1 : round_up(left, 2);
  }
  const float* block(int index) const {
    return values.data() + std::size_t(index) * depth * kBlockRows;
  }
  void resize(int new_rows, int new_depth) {
    rows = new_rows;
    depth = new_depth;
    values.assign(std::size_t(full_blocks() * kBlockRows + tail_rows()) * depth, 0.f);
  }
  /// Where element (row, 0) lies; the next k is `step` further.
  float* row_start(int row, int& step) {
    const int index = row / kBlockRows;
    step = index < full_blocks() ? kBlockRows : tail_rows();
    return values.data() + std::size_t(index) * depth * kBlockRows + row % kBlockRows;
  }
  /// Packs the matrix whose entries `element(row, k)` gives.
  template <class Element>
  void pack(int new_rows, int new_depth, Element element) {
    resize(new_rows, new_depth);
    for (int row = 0; row < rows; ++row) {
      int step;
      float* to = row_start(row, step);
      for (int k = 0; k < depth; ++k) to[std::size_t(k) * step] = element(row, k);
    }
  }
  /// Packs the transpose of that, `element(k, row)`, reading `element` in the order of its own
  /// rows.
  template <class Element>
  void pack_transposed(int new_rows, int new_depth, Element element) {
    resize(new_rows, new_depth);
    for (int k = 0; k < depth; ++k)
      for (int row = 0; row < rows; ++row) {
        int step;
        float* to = row_start(row, step);
        to[std::size_t(k) * step] = element(k, row);
      }
  }
};

/// How a product reads its columns: all features one after the other, or in `count` runs of equal
/// length, such as the rows of pixels under a filter.
struct OneRun {
  static constexpr int count = 1;
  static constexpr std::size_t stride = 0;
};
struct Runs {
  int count;
  std::size_t stride;  ///< floats from one run to the next
};

/// Weights to fetch into the second cache beside a product, `step` of them a feature, as W of a
/// wide net comes from memory for every tile: (f, div) of 43-860-860-43 took 15 % longer without.
struct Ahead {
  const float* weights;
  int step;
};
struct NothingAhead {};
/// Depths from which W is fetched ahead; a net of 64 units takes 1.5 % longer by the two more
/// instructions beside 38.
inline constexpr int kLongDepth = 256;

/// sums += `Rows` rows of W times some columns; `length` features a run, and `weight_gap` columns
/// of W between the last of a run and the first of the next.
template <int Rows, int Count, class AnyRuns, class AnyAhead = NothingAhead>
[[gnu::always_inline]] inline void add_to_block(const float* weights, int weight_gap, int length,
                                                const AnyRuns& runs,
                                                const float* const (&columns)[Count],
                                                Vec (&sums)[Rows][Count], AnyAhead ahead = {}) {
  for (int run = 0; run < runs.count; ++run) {
    const float* in[Count];
#pragma GCC unroll 8
    for (int c = 0; c < Count; ++c) in[c] = columns[c] + run * runs.stride;
#pragma GCC unroll 2
    for (int k = 0; k < length; ++k) {
      Vec column[Count];
#pragma GCC unroll 8
      for (int c = 0; c < Count; ++c) {
        column[c] = load(in[c]);
        in[c] += kFeatureStride;
      }
      if constexpr (std::is_same_v<AnyAhead, Ahead>) {
        __builtin_prefetch(ahead.weights, 0, 2);
        ahead.weights += ahead.step;
      }
#pragma GCC unroll 12
      for (int r = 0; r < Rows; ++r) {
        const Vec weight = splat(weights[r]);
#pragma GCC unroll 8
        for (int c = 0; c < Count; ++c) sums[r][c] = fma(weight, column[c], sums[r][c]);
      }
      weights += Rows;
    }
    weights += weight_gap * Rows;
  }
}

/// sums = `Rows` rows of W times some columns; `length` features a run.
template <int Rows, int Count, class AnyRuns, class AnyAhead = NothingAhead>
[[gnu::always_inline]] inline void multiply_block(const float* weights, int length,
                                                  const AnyRuns& runs,
                                                  const float* const (&columns)[Count],
                                                  Vec (&sums)[Rows][Count], AnyAhead ahead = {}) {
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < Count; ++c) sums[r][c] = Vec{};
  add_to_block<Rows, Count>(weights, 0, length, runs, columns, sums, ahead);
}

/// Rows of W times pairs of columns, stored: `pairs` of them, whose pointers advance by the
/// strides.
struct ColumnPairs {
  const float *first, *second;
  std::size_t stride;
  float *first_out, *second_out;
  std::size_t out_stride;
  int pairs;
};

template <int Rows, bool FetchesAhead = false, class AnyRuns = OneRun>
[[gnu::always_inline]] inline void multiply_pairs(const float* weights, int length, ColumnPairs s,
                                                  const AnyRuns& runs = {}) {
  // Pairs: few rows make too few sums of one to keep the units busy.
  constexpr int together = Rows == 1 ? 4 : Rows == 2 || Rows * 4 + 5 <= kRegisters ? 2 : 1;
  int pair = 0;
  const auto multiply = [&]<int Pairs>(std::integral_constant<int, Pairs>) {
    const float* columns[2 * Pairs];
    for (int p = 0; p < Pairs; ++p) {
      columns[2 * p] = s.first + (pair + p) * s.stride;
      columns[2 * p + 1] = s.second + (pair + p) * s.stride;
    }
    Vec sums[Rows][2 * Pairs];
    if constexpr (FetchesAhead) {
      // Every pair of columns fetches its share of the next block.
      const int step = (Rows * Pairs + s.pairs - 1) / s.pairs;
      const std::size_t features = std::size_t(length) * runs.count;
      const Ahead ahead{weights + (Rows + pair / Pairs * step) * features, step};
      multiply_block<Rows, 2 * Pairs>(weights, length, runs, columns, sums, ahead);
    } else {
      multiply_block<Rows, 2 * Pairs>(weights, length, runs, columns, sums);
    }
#pragma GCC unroll 4
    for (int p = 0; p < Pairs; ++p) {
      float* const first = s.first_out + (pair + p) * s.out_stride;
      float* const second = s.second_out + (pair + p) * s.out_stride;
#pragma GCC unroll 12
      for (int r = 0; r < Rows; ++r) {
        store(first + r * kFeatureStride, sums[r][2 * p]);
        store(second + r * kFeatureStride, sums[r][2 * p + 1]);
      }
    }
    pair += Pairs;
  };
  while (pair + together <= s.pairs) multiply(std::integral_constant<int, together>());
  if constexpr (together > 2)
    while (pair + 2 <= s.pairs) multiply(std::integral_constant<int, 2>());
  while (pair < s.pairs) multiply(std::integral_constant<int, 1>());
}

/// A full block of a matrix whose next block is fetched meanwhile.
template <class AnyRuns>
[[gnu::noinline]] inline void multiply_and_fetch(const float* weights, int length,
                                                 const ColumnPairs& pairs, const AnyRuns& runs) {
  multiply_pairs<kBlockRows, true>(weights, length, pairs, runs);
}

template <class AnyRuns>
[[gnu::noinline]] inline void multiply_tail(int rows, const float* weights, int length,
                                            const ColumnPairs& pairs, const AnyRuns& runs) {
  switch (rows) {
    case 1:
      return multiply_pairs<1>(weights, length, pairs, runs);
    case 2:
      return multiply_pairs<2>(weights, length, pairs, runs);
    case 4:
      return multiply_pairs<4>(weights, length, pairs, runs);
    case 6:
      return multiply_pairs<6>(weights, length, pairs, runs);
    case 8:
      return multiply_pairs<8>(weights, length, pairs, runs);
    case 10:
      return multiply_pairs<10>(weights, length, pairs, runs);
    default:
      return multiply_pairs<kBlockRows>(weights, length, pairs, runs);
  }
}

/// Rows [kBlockRows · block, …) of W; the block after the full ones is the tail, which may be
/// empty. Inlined for full blocks, as the call costs 2 % of a product of 64 by 64.
template <class AnyRuns = OneRun>
[[gnu::always_inline]] inline void multiply_rows(const PackedMatrix& matrix, int block,
                                                 ColumnPairs pairs, const AnyRuns& runs = {}) {
  const float* weights = matrix.block(block);
  const int length = matrix.depth / runs.count;
  const std::size_t first_row = std::size_t(block) * kBlockRows * kFeatureStride;
  pairs.first_out += first_row;
  pairs.second_out += first_row;
  if (block < matrix.full_blocks() && matrix.depth >= kLongDepth)
    multiply_and_fetch(weights, length, pairs, runs);
  else if (block < matrix.full_blocks())
    multiply_pairs<kBlockRows>(weights, length, pairs, runs);
  else if (matrix.tail_rows() > 0)
    multiply_tail(matrix.tail_rows(), weights, length, pairs, runs);
}

/// Rows [kBlockRows · block, …) of out = W in, for all panels.
[[gnu::always_inline]] inline void multiply_panels(const PackedMatrix& matrix, int block,
                                                   const Panels& in, const Panels& out,
                                                   int panels) {
  multiply_rows(
      matrix, block,
      {in.data, in.data + kLanes, in.stride, out.data, out.data + kLanes, out.stride, panels});
}

inline void multiply(const PackedMatrix& matrix, const Panels& in, const Panels& out,
                     const Columns& columns) {
  for (int block = 0; block <= matrix.full_blocks(); ++block)
    multiply_panels(matrix, block, in, out, columns.panels());
}

/// The same for the values alone, those of two strips at a time.
inline void multiply_values(const PackedMatrix& matrix, const Panels& in, const Panels& out,
                            const Columns& columns) {
  for (int block = 0; block <= matrix.full_blocks(); ++block)
    for (int g = 0; g < columns.strips; g += 2) {
      const int n = g * columns.channels, next = n + columns.channels;
      multiply_rows(matrix, block,
                    {in.column(n), in.column(next), 0, out.column(n), out.column(next), 0, 1});
    }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
