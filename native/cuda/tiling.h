// Which tiles cut a batch, and which of their rows are at work. Those of a group must not meet rows
// of another, but for single rows.
#pragma once

#include "cuda/group.h"
#include "cuda/launch.h"
#include "cuda/tensor_product.h"

namespace ffjord::cuda {

/// Rows of a group under Control::Tile.
inline constexpr int kGroupRows = SmallTile::kRows;

inline int tiles_of(int count, int size) { return (count + size - 1) / size; }

/// Large tiles where there is work for them, and where no tile meets two groups.
inline bool takes_large_tiles(const Groups& groups, int batch, int units) {
  return groups.count == 1 && batch > SmallTile::kRows && units > SmallTile::kUnits;
}

/// Of the present thread: bit i is set where row i of a tile, as the tile numbers them, is at work.
template <class Tile>
__device__ unsigned working_rows(const Groups& groups, int first_row, int batch) {
  unsigned rows = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (groups.works(first_row + Tile::row(i), batch)) rows |= 1u << i;
  return rows;
}

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
