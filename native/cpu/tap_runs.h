// out += W in over runs of features, as the rows of taps of a filter are, for pairs of columns.
//
// The micro-kernel of product.h and its register budget; sums are loaded where a part of the filter
// came before, and stored: 2 · 24 vectors beside 24 multiply-adds a feature of some hundred.
#pragma once

#include "cpu/product.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// sums of `Rows` rows of W for pairs of columns, over `runs` of `length` features, whose weights
/// lie `weight_gap` rows apart; added to what `pairs` holds, or written.
template <int Rows>
void add_runs(const float* weights, int weight_gap, int length, const Runs& runs,
              const ColumnPairs& pairs, bool adds) {
  constexpr int together = Rows == 1 ? 4 : Rows == 2 || Rows * 4 + 5 <= kRegisters ? 2 : 1;
  int pair = 0;
  const auto add = [&]<int Pairs>(std::integral_constant<int, Pairs>) {
    const float* columns[2 * Pairs];
    float* out[2 * Pairs];
#pragma GCC unroll 4
    for (int p = 0; p < Pairs; ++p) {
      columns[2 * p] = pairs.first + (pair + p) * pairs.stride;
      columns[2 * p + 1] = pairs.second + (pair + p) * pairs.stride;
      out[2 * p] = pairs.first_out + (pair + p) * pairs.out_stride;
      out[2 * p + 1] = pairs.second_out + (pair + p) * pairs.out_stride;
    }
    Vec sums[Rows][2 * Pairs];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int c = 0; c < 2 * Pairs; ++c)
        sums[r][c] = adds ? load(out[c] + r * kFeatureStride) : Vec{};
    add_to_block<Rows, 2 * Pairs>(weights, weight_gap, length, runs, columns, sums);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int c = 0; c < 2 * Pairs; ++c) store(out[c] + r * kFeatureStride, sums[r][c]);
    pair += Pairs;
  };
  while (pair + together <= pairs.pairs) add(std::integral_constant<int, together>());
  if constexpr (together > 2)
    while (pair + 2 <= pairs.pairs) add(std::integral_constant<int, 2>());
  while (pair < pairs.pairs) add(std::integral_constant<int, 1>());
}

using AddRuns = void (*)(const float* weights, int weight_gap, int length, const Runs& runs,
                         const ColumnPairs& pairs, bool adds);

inline AddRuns runs_of_rows(int rows) {
  switch (rows) {
    case 1:
      return add_runs<1>;
    case 2:
      return add_runs<2>;
    case 4:
      return add_runs<4>;
    case 6:
      return add_runs<6>;
    case 8:
      return add_runs<8>;
    case 10:
      return add_runs<10>;
    default:
      return add_runs<kBlockRows>;
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
