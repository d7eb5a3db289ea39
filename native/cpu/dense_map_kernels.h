// The products of a dense map on some of its units: Y = W X, X̄ += Wᵀ Ȳ, W̄ += Ȳ Xᵀ.
#pragma once

#include <algorithm>

#include "cpu/dense_map.h"
#include "cpu/weight_gradient.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// to[column][row] = from[row][column]
inline void transpose_matrix(const float* from, std::size_t from_stride, std::size_t rows,
                             std::size_t columns, float* to, std::size_t to_stride) {
  for (std::size_t row = 0; row < rows; row += kLanes)
    for (std::size_t column = 0; column < columns; column += kLanes) {
      const float* const source = from + row * from_stride + column;
      float* const target = to + column * to_stride + row;
      if (row + kLanes <= rows && column + kLanes <= columns) {
        Vec block[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) block[i] = load(source + i * from_stride);
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(target + i * to_stride, block[i]);
        continue;
      }
      const std::size_t more_rows = std::min<std::size_t>(kLanes, rows - row);
      const std::size_t more_columns = std::min<std::size_t>(kLanes, columns - column);
      for (std::size_t c = 0; c < more_columns; ++c)
        for (std::size_t r = 0; r < more_rows; ++r)
          target[c * to_stride + r] = source[r * from_stride + c];
    }
}

/// C (rows, whole blocks) += P (rows, depth) A (depth, whole blocks), for `blocks` blocks; of A the
/// next block is `a_block` further.
inline void accumulate_blocks(float* c, std::size_t c_stride, const float* p, std::size_t p_stride,
                              const float* a, std::size_t a_stride, std::size_t a_block,
                              std::size_t blocks, std::size_t rows, std::size_t depth) {
  static_assert(kDenseBlock % (2 * kLanes) == 0);
  for (std::size_t block = 0; block < blocks; ++block)
    for (std::size_t k = 0; k < kDenseBlock; k += 2 * kLanes)
      accumulate_outer_rows({.c = c + block * kDenseBlock + k,
                             .c_stride = static_cast<int>(c_stride),
                             .p = p,
                             .p_row_stride = p_stride,
                             .p_run_stride = 0,
                             .a = a + block * a_block + k,
                             .a_stride = static_cast<int>(a_stride),
                             .a_run_stride = 0,
                             .runs = 1,
                             .length = static_cast<int>(depth)},
                            static_cast<int>(rows));
}

inline void apply_units(const DenseMap& map, const RowRange& units, const DenseApplication& call,
                        float* scratch) {
  const std::size_t count = units.end - units.first, stride = whole_blocks(call.batch);
  for (std::size_t unit = 0; unit < count; ++unit)
    std::fill_n(scratch + unit * stride, stride, map.bias[units.first + unit]);
  accumulate_blocks(scratch, stride, map.weight + units.first * map.in, map.in, call.x, kDenseBlock,
                    map.in * kDenseBlock, stride / kDenseBlock, count, map.in);
  transpose_matrix(scratch, stride, count, call.batch, call.y + units.first, map.out);
}

inline void pull_weights(const DenseMap& map, const RowRange& units, const DensePullback& call,
                         float* scratch) {
  const std::size_t count = units.end - units.first, in = whole_blocks(map.in);
  const std::size_t row_stride = whole_blocks(call.batch), slots = call.slots.size();
  float* const bars = scratch;  // ȳ by unit
  float* const sums = bars + kPulledUnits * row_stride;
  transpose_matrix(call.y_bar + units.first, map.out, call.batch, count, bars, row_stride);
  std::fill_n(sums, slots * kPulledUnits * in, 0.f);
  float bias_sums[kPulledUnits][kMostSlots];
  for (std::size_t slot = 0; slot < slots; ++slot) {
    const auto [first, end] = call.slots[slot];
    accumulate_blocks(sums + slot * kPulledUnits * in, in, bars + first, row_stride,
                      call.x + first * in, in, kDenseBlock, in / kDenseBlock, count, end - first);
    for (std::size_t unit = 0; unit < count; ++unit) {
      float sum = 0;
      for (std::size_t row = first; row < end; ++row) sum += bars[unit * row_stride + row];
      bias_sums[unit][slot] = sum;
    }
  }
  add_as_tree(slots, [&](std::size_t to, std::size_t from) {
    float* const total = sums + to * kPulledUnits * in;
    const float* const added = sums + from * kPulledUnits * in;
    for (std::size_t i = 0; i < count * in; ++i) total[i] += added[i];
    for (std::size_t unit = 0; unit < count; ++unit) bias_sums[unit][to] += bias_sums[unit][from];
  });
  for (std::size_t unit = 0; unit < count; ++unit) {
    float* const bar = call.weight_bar + (units.first + unit) * map.in;
    for (std::size_t k = 0; k < map.in; ++k) bar[k] += sums[unit * in + k];
    call.bias_bar[units.first + unit] += bias_sums[unit][0];
  }
}

inline void pull_input(const DenseMap& map, const RowRange& units, const DensePullback& call,
                       float* scratch) {
  const std::size_t count = units.end - units.first, in = whole_blocks(map.in);
  const float* weight = map.weight + units.first * map.in;
  if (in != map.in) {
    for (std::size_t unit = 0; unit < count; ++unit) {
      std::copy_n(weight + unit * map.in, map.in, scratch + unit * in);
      std::fill_n(scratch + unit * in + map.in, in - map.in, 0.f);
    }
    weight = scratch;
  }
  accumulate_blocks(call.x_bar, in, call.y_bar + units.first, map.out, weight, in, kDenseBlock,
                    in / kDenseBlock, call.batch, count);
}

inline void pull_back_units(const DenseMap& map, const RowRange& units, const DensePullback& call,
                            float* scratch) {
  if (call.x_bar) pull_input(map, units, call, scratch);
  if (call.weight_bar) pull_weights(map, units, call, scratch);
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
