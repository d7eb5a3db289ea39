// Which arithmetic and which tile a product takes.
#pragma once

#include "cuda/device/grid.h"
#include "cuda/product/half_product.h"
#include "cuda/product/products.h"

namespace ffjord::cuda {

/// Whether a product of this depth goes to the tensor cores: below a chunk of it float32 is more
/// accurate, and zeros would be most of the work.
inline bool takes_tensor_cores(int depth, const CudaOptions& options) {
  return depth >= LargeTile::kDepth && chosen_products(options) != Products::Float32;
}

/// Calls start(tile) with the tile that a product of this depth is cut into. All arithmetics are as
/// accurate as float32, within a factor of two (test/cuda/product_check.cu holds the table).
template <class Start>
void with_tile(bool large, int depth, const CudaOptions& options, const Start& start) {
  constexpr int rows = LargeTile::kRows, units = LargeTile::kUnits;
  if (!large) return start(SmallTile());
  switch (depth < LargeTile::kDepth ? Products::Float32 : chosen_products(options)) {
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
