// Which tiles cut a batch, and which of their rows are at work. A tile never holds rows of two
// groups, unless every row is a group of its own.
#pragma once

#include "cuda/product/tiling.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

static_assert(kGroupRows == SmallTile::kRows, "a tile meets one group alone");

/// Large tiles where there is work for them, and where no tile meets two groups.
__host__ __device__ inline bool takes_large_tiles(const Groups& groups, int batch, int units) {
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

}  // namespace ffjord::cuda
