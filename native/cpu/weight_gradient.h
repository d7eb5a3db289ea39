// C += P A for outer products summed over rows and tangents.
//
// Register budget: 6 × 2 sums + 2 vectors of A + 1 entry of P = 15 of 16, 12 FMAs for 8 loads; 8 ×
// 2 + 2 + 1 = 19 of 32, where 12 rows gained nothing over 8.
//
// C is added at the end, and fetched into the first cache meanwhile: the sums of a wide net are no
// cache's, and its rows lie pages apart, so that no processor guesses the next. With the sums
// loaded first, 43-860-860-43 waited for them as long as half of its products take.
#pragma once

#include <algorithm>

#include "cpu/panels.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline constexpr int kOuterRows = kRegisters >= 32 ? 8 : 6;

/// C (Rows, Vectors kLanes) += P (Rows, samples) A (samples, Vectors kLanes), the samples in `runs`
/// runs of `length`. With `adds` false, C is written.
struct OuterArguments {
  float* c;
  int c_stride;
  const float* p;
  std::size_t p_row_stride, p_run_stride;
  const float* a;
  int a_stride;
  std::size_t a_run_stride;
  int runs, length;
  bool adds = true;
};

template <int Rows, int Vectors>
void accumulate_outer(const OuterArguments& s) {
  float* c = s.c;
  const std::size_t c_stride = s.c_stride;
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + r * c_stride + v * kLanes, 1);
  Vec sums[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[r][v] = Vec{};
  for (int run = 0; run < s.runs; ++run) {
    const float* p = s.p + run * s.p_run_stride;
    const float* at = s.a + run * s.a_run_stride;
#pragma GCC unroll 2
    for (int i = 0; i < s.length; ++i) {
      Vec a[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) a[v] = load(at + v * kLanes);
      at += s.a_stride;
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const Vec entry = splat(p[r * s.p_row_stride + i]);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[r][v] = fma(entry, a[v], sums[r][v]);
      }
    }
  }
  // The addresses are made anew: kept from above, they would take the loop's registers.
  asm("" : "+r"(c));
  if (s.adds) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r, c += c_stride)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) store(c + v * kLanes, load(c + v * kLanes) + sums[r][v]);
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r, c += c_stride)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) store(c + v * kLanes, sums[r][v]);
  }
}

/// All `rows` rows of C for one block of 2 kLanes columns.
inline void accumulate_outer_rows(OuterArguments s, int rows) {
  for (; rows >= kOuterRows; rows -= kOuterRows) {
    accumulate_outer<kOuterRows, 2>(s);
    s.c += std::size_t(kOuterRows) * s.c_stride;
    s.p += kOuterRows * s.p_row_stride;
  }
  switch (rows) {
    case 1:
      return accumulate_outer<1, 2>(s);
    case 2:
      return accumulate_outer<2, 2>(s);
    case 3:
      return accumulate_outer<3, 2>(s);
    case 4:
      return accumulate_outer<4, 2>(s);
    case 5:
      return accumulate_outer<5, 2>(s);
    case 6:
      return accumulate_outer<6, 2>(s);
    case 7:
      return accumulate_outer<7, 2>(s);
    default:
      return;
  }
}

/// kLanes rows of a column, transposed: [row][feature], `to_stride` apart.
[[gnu::always_inline]] inline void transpose_features(const float* from, float* to, int to_stride) {
  Vec block[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) block[i] = load(from + i * kFeatureStride);
  transpose(block);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) store(to + std::size_t(i) * to_stride, block[i]);
}

/// Both columns of a pixel of a panel, transposed: [2 kLanes][to_stride].
inline void transpose_pixel(const float* from, int features, int to_stride, float* to) {
  for (int second = 0; second < kPanelColumns; ++second)
    for (int i = 0; i < features; i += kLanes)
      transpose_features(from + second * kLanes + std::size_t(i) * kFeatureStride,
                         to + std::size_t(second) * kLanes * to_stride + i, to_stride);
}

/// The sums of accumulate_weight_gradient, each over the lanes of a vector at last: kLanes vectors
/// stay in registers.
inline void accumulate_few_rows(const Panels& p, int rows, const Panels& a, int depth,
                                const Columns& columns, float* c, bool begun) {
  const int c_stride = padded_features(depth);
  for (int k = 0; k < c_stride; k += kLanes)
    for (int r = 0; r < rows; ++r) {
      Vec sums[kLanes] = {};
      for (int n = 0; n < columns.count(); ++n) {
        const Vec entry = load(p.column(n) + std::size_t(r) * kFeatureStride);
        const float* at = a.column(n) + std::size_t(k) * kFeatureStride;
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i)
          sums[i] = fma(entry, load(at + i * kFeatureStride), sums[i]);
      }
      const Vec sum = sums_of_lanes(sums);
      float* const to = c + std::size_t(r) * c_stride + k;
      store(to, begun ? load(to) + sum : sum);
    }
}

/// C (rows of p, padded features of a) += Σ over all columns and lanes p aᵀ, for `rows` and `depth`
/// features of p and a; unless C has `begun`, it is written. `scratch` takes samples × 2 kLanes
/// floats.
inline void accumulate_weight_gradient(const Panels& p, int rows, const Panels& a, int depth,
                                       const Columns& columns, float* c, bool begun,
                                       float* scratch) {
  // To sum kLanes vectors over their lanes takes half the shuffles of a transposition, of which
  // there is one a column.
  if (rows <= 2 * columns.count()) return accumulate_few_rows(p, rows, a, depth, columns, c, begun);
  const int c_stride = padded_features(depth);
  constexpr int width = 2 * kLanes;
  for (int k = 0; k < depth; k += width) {
    // Block [samples][width] of aᵀ: 4 kB at 32 rows of value and tangent, read rows / 8 times.
    for (int n = 0; n < columns.count(); ++n)
      for (int v = 0; v < 2; ++v)
        transpose_features(a.column(n) + std::size_t(k + v * kLanes) * kFeatureStride,
                           scratch + std::size_t(n) * kLanes * width + v * kLanes, width);
    accumulate_outer_rows({.c = c + k,
                           .c_stride = c_stride,
                           .p = p.data,
                           .p_row_stride = kFeatureStride,
                           .p_run_stride = p.stride,
                           .a = scratch,
                           .a_stride = width,
                           .a_run_stride = std::size_t(kFeatureStride) * width,
                           .runs = columns.panels(),
                           .length = kFeatureStride,
                           .adds = begun},
                          rows);
  }
}

/// C (rows, columns) += P (rows, depth) A (depth, columns), row-major; strides of C and A are
/// multiples of 2 kLanes and at least `columns` rounded up to one.
inline void accumulate_product(float* c, int c_stride, const float* p, int p_stride, const float* a,
                               int a_stride, int rows, int depth, int columns) {
  for (int k = 0; k < columns; k += 2 * kLanes)
    accumulate_outer_rows({.c = c + k,
                           .c_stride = c_stride,
                           .p = p,
                           .p_row_stride = std::size_t(p_stride),
                           .p_run_stride = 0,
                           .a = a + k,
                           .a_stride = a_stride,
                           .a_run_stride = 0,
                           .runs = 1,
                           .length = depth},
                          rows);
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
