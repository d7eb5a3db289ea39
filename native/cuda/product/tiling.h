// Which tiles cut a batch, and which of their rows are at work. Those of a group must not meet rows
// of another, but for single rows.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/product/half_product.h"
#include "cuda/product/products.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// Rows of a group under Control::Tile.
inline constexpr int kGroupRows = SmallTile::kRows;

__host__ __device__ inline int tiles_of(int count, int size) { return (count + size - 1) / size; }

/// Large tiles where there is work for them, and where no tile meets two groups.
inline bool takes_large_tiles(const Groups& groups, int batch, int units) {
  return groups.count == 1 && batch > SmallTile::kRows && units > SmallTile::kUnits;
}

/// The present thread's rows of a tile; −1 where there is none, or it rests.
template <class Tile>
struct TileRows {
  int row[Tile::kRowsAThread];

  __device__ TileRows(const Groups& groups, int first_place, int batch) {
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i) {
      const int place = first_place + Tile::row(i);
      row[i] = place < batch ? groups.row_at(place) : -1;
      if (row[i] >= 0 && !groups.of_row(row[i]).working) row[i] = -1;
    }
  }
  /// Whether any row of the tile works; asked by all threads.
  __device__ bool any() const {
    bool works = false;
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i) works = works || row[i] >= 0;
    return __syncthreads_or(works);
  }
};

/// Whether a product of this depth goes to the tensor cores: below a chunk of it float32 is more
/// accurate, and zeros would be most of the work.
inline bool takes_tensor_cores(int depth) {
  return depth >= LargeTile::kDepth && chosen_products() != Products::Float32;
}

/// Calls start(tile) with the tile that a product of this depth is cut into. All arithmetics are as
/// accurate as float32, within a factor of two (test/cuda/product_check.cu holds the table).
template <class Start>
void with_tile(bool large, int depth, const Start& start) {
  constexpr int rows = LargeTile::kRows, units = LargeTile::kUnits;
  if (!large) return start(SmallTile());
  switch (depth < LargeTile::kDepth ? Products::Float32 : chosen_products()) {
    case Products::Float32:
      return start(LargeTile());
    case Products::Half3:
      return start(Tile<rows, units, Half3>());
    case Products::WarpgroupHalf3:
      return start(Tile<rows, units, WarpgroupHalf3>());
  }
}

template <class Tile, class Memory>
LaunchShape tile_shape(int rows, int units, int layers = 1) {
  return {dim3(tiles_of(rows, Tile::kRows), tiles_of(units, Tile::kUnits), layers),
          dim3(Tile::kThreads), sizeof(Memory)};
}

}  // namespace ffjord::cuda
