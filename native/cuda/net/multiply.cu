#include "cuda/net/multiply.h"
#include "cuda/net/operands.h"
#include "cuda/net/tile_rows.h"

namespace ffjord::cuda {
namespace {

template <class Tile, Geometry geometry>
__global__ void __launch_bounds__(Tile::kThreads)
    multiply_rows(const __grid_constant__ MultiplyArguments s) {
  const int first_place = blockIdx.x * Tile::kRows, first_unit = blockIdx.y * Tile::kUnits;
  const TileRows<Tile> rows(s.groups, first_place, s.batch);
  if (!rows.any()) return;
  const std::ptrdiff_t slot = s.slot.offset(s.groups);
  float* const to = s.c + slot + std::size_t(blockIdx.z) * s.batch * s.c_stride;
  const float* const b = s.b + (first_place / s.groups.rows) * s.b_stride;
  const int depth = s.expanded ? 2 * s.depth : s.depth;
  const TileOfWeights weights{b, s.units, first_unit};
  auto& memory = shared_memory<TileMemory<Tile, 1, geometry>>();
  Sums<Tile, 1> sums;
  if constexpr (geometry == Geometry::Pixels) {
    memory.set_places(s.taps, s.groups, first_place, s.batch, s.expanded ? s.time : nullptr);
    const std::size_t size = std::size_t(s.taps.by_pixels(s.batch)) * s.taps.size;
    const float* const a = s.a + slot + blockIdx.z * size;
    multiply_tile<Tile, 1>(memory.product, depth,
                           TileOfPixels{memory.places, s.taps, a, nullptr, size, 0, 0}, weights,
                           sums);
  } else {
    const float* const a = s.a + slot + std::size_t(blockIdx.z) * s.batch * s.depth;
    const RowChannels rows_of_a{a, s.depth, nullptr, s.batch, s.depth, s.time, s.groups.rows};
    multiply_tile<Tile, 1>(memory.product, depth,
                           TileOfRows{rows_of_a, s.groups, first_place, 0, 0}, weights, sums);
  }
#pragma unroll
  for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kUnitsAThread; ++j) {
      const int row = rows.row[i], unit = first_unit + Tile::unit(j);
      if (row < 0 || unit >= s.units) continue;
      float& c = to[std::size_t(row) * s.c_stride + unit];
      c = s.alpha * sums[0][i][j] + (s.adds ? c : 0.f);
    }
}

template <class Tile, Geometry geometry>
void start(const MultiplyArguments& arguments, const Stream& stream) {
  launch("multiply_rows", multiply_rows<Tile, geometry>,
         tile_shape<Tile, TileMemory<Tile, 1, geometry>>(arguments.batch, arguments.units,
                                                         arguments.channels),
         stream, arguments);
}

}  // namespace

void multiply(const MultiplyArguments& arguments, const Stream& stream) {
  with_tile(takes_large_tiles(arguments.groups, arguments.batch, arguments.units), arguments.depth,
            stream.options(), [&](auto tile) {
              using Tile = decltype(tile);
              arguments.taps.depth > 0 ? start<Tile, Geometry::Pixels>(arguments, stream)
                                       : start<Tile, Geometry::Rows>(arguments, stream);
            });
}

}  // namespace ffjord::cuda
