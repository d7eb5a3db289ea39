// Which tiles cut a batch: those of a group must not meet rows of another.
#pragma once

#include "cuda/group.h"
#include "cuda/launch.h"
#include "cuda/tensor_product.h"

namespace ffjord::cuda {

/// Rows of groups that step on their own, but for Control::Batch.
inline constexpr int kGroupRows = SmallTile::kRows;

inline int tiles_of(int count, int size) { return (count + size - 1) / size; }

/// Large tiles where there is work for them, and where no tile meets two groups.
inline bool takes_large_tiles(const Groups& groups, int batch, int units) {
  return groups.count == 1 && batch > SmallTile::kRows && units > SmallTile::kUnits;
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
