// How a batch is cut into tiles: [tile][column][row] for (B, columns), rows beyond the batch zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "cpu/aligned.h"

namespace ffjord::cpu {

struct Tiles {
  std::size_t batch = 0;  ///< B
  std::size_t rows = 0;   ///< of a tile

  std::size_t count() const { return (batch + rows - 1) / rows; }
  std::size_t first_row(std::size_t tile) const { return tile * rows; }
  std::size_t rows_in(std::size_t tile) const { return std::min(rows, batch - tile * rows); }
};

/// Rows of tile number `tile` in `source` (B, columns) → target [columns][rows].
inline void load_tile(const Tiles& tiles, std::size_t tile, std::span<const float> source,
                      std::size_t columns, float* target) {
  const std::size_t used = tiles.rows_in(tile);
  const float* from = source.data() + tiles.first_row(tile) * columns;
  for (std::size_t column = 0; column < columns; ++column) {
    float* to = target + column * tiles.rows;
    for (std::size_t row = 0; row < used; ++row) to[row] = from[row * columns + column];
    std::fill(to + used, to + tiles.rows, 0.f);
  }
}

/// source [columns][rows] → rows of tile number `tile` in `target` (B, columns).
inline void store_tile(const Tiles& tiles, std::size_t tile, const float* source,
                       std::size_t columns, std::span<float> target) {
  const std::size_t used = tiles.rows_in(tile);
  float* to = target.data() + tiles.first_row(tile) * columns;
  for (std::size_t column = 0; column < columns; ++column)
    for (std::size_t row = 0; row < used; ++row)
      to[row * columns + column] = source[column * tiles.rows + row];
}

/// ε (K, B, D) → [tile][K][D][rows].
inline AlignedFloats tile_noise(const Tiles& tiles, std::span<const float> eps,
                                std::size_t dimension) {
  const std::size_t probes = eps.size() / (tiles.batch * dimension);
  const std::size_t size = dimension * tiles.rows;
  AlignedFloats result(tiles.count() * probes * size);
  for (std::size_t tile = 0; tile < tiles.count(); ++tile)
    for (std::size_t probe = 0; probe < probes; ++probe)
      load_tile(tiles, tile, eps.subspan(probe * tiles.batch * dimension, tiles.batch * dimension),
                dimension, result.data() + (tile * probes + probe) * size);
  return result;
}

}  // namespace ffjord::cpu
