// Which tiles cut a batch, and which of their rows are at work. Those of a group must not meet rows
// of another, but for single rows.
#pragma once

#include "cuda/group.h"
#include "cuda/launch.h"
#include "cuda/tensor_product.h"

namespace ffjord::cuda {

/// Rows of a group under Control::Tile.
inline constexpr int kGroupRows = SmallTile::kRows;

__host__ __device__ inline int tiles_of(int count, int size) { return (count + size - 1) / size; }

/// Large tiles where there is work for them, and where no tile meets two groups.
inline bool takes_large_tiles(const Groups& groups, int batch, int units) {
  return groups.count == 1 && batch > SmallTile::kRows && units > SmallTile::kUnits;
}

/// The present thread's four rows of a tile; −1 where there is none, or it rests.
template <class Tile>
struct TileRows {
  int row[4];

  __device__ TileRows(const Groups& groups, int first_place, int batch) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int place = first_place + Tile::row(i);
      row[i] = place < batch ? groups.row_at(place) : -1;
      if (row[i] >= 0 && !groups.of_row(row[i]).working) row[i] = -1;
    }
  }
  /// Whether any row of the tile works; asked by all threads.
  __device__ bool any() const {
    return __syncthreads_or(row[0] >= 0 || row[1] >= 0 || row[2] >= 0 || row[3] >= 0);
  }
};

/// Large products on the tensor cores: as accurate as float32 over its whole range
/// (test/cuda/product_check.cu holds the table).
using TensorTile = Tile<LargeTile::kRows, LargeTile::kUnits, Tf32x3>;

/// Where the card has TF32 (from compute capability 8.0), and the depth is worth it.
inline bool takes_tensor_cores(int depth) {
  if (depth < TensorTile::kDepth) return false;
  int device = 0, major = 0;
  check(cudaGetDevice(&device), "device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "device");
  return major >= 8;
}

/// Calls start(tile) with the tile that a product of this depth is cut into.
template <class Start>
void with_tile(bool large, int depth, const Start& start) {
  if (!large)
    start(SmallTile());
  else if (takes_tensor_cores(depth))
    start(TensorTile());
  else
    start(LargeTile());
}

template <class Tile, class Memory>
LaunchShape tile_shape(int rows, int units, int layers = 1) {
  return {dim3(tiles_of(rows, Tile::kRows), tiles_of(units, Tile::kUnits), layers),
          dim3(Tile::kThreads), sizeof(Memory)};
}

}  // namespace ffjord::cuda
