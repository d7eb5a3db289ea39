// How the rows of a tile add up to a part of a norm: a warp a row, whose lanes stand side by side
// in memory, then the rows of the tile by a tree that is always the same.
#pragma once

#include "cuda/device/grid.h"
#include "cuda/step/group.h"
#include "cuda/step/norm_part.h"

namespace ffjord::cuda {

inline constexpr int kTileWarps = 8, kTileThreads = 32 * kTileWarps;

/// Rows of a tile: of a group, where groups are tiles of a batch; else as many as a block has
/// warps.
__host__ __device__ inline int tile_rows(int rows_of_group) {
  return rows_of_group > 1 && rows_of_group <= kGroupRows ? kGroupRows : kTileWarps;
}

/// What a block of kTileThreads keeps of its tile's rows.
using TileParts = NormPart[kGroupRows];

struct WarpSum {
  __device__ double operator()(double value) const {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
      value += __shfl_xor_sync(~0u, value, distance);
    return value;
  }
};

/// The part of a row that the present warp has, of which each lane gets the sum. `measure(channel)`
/// gives an entry; `works`: whether the row takes part.
template <class Measure>
__device__ NormPart warp_part(const ErrorNorm& norm, int row, int channels, bool works,
                              const float* y, const Measure& measure) {
  return part_of_row<32>(norm, row, works ? channels : 0, lane_index(), y, measure, WarpSum());
}

/// The sum of the parts of a tile's rows; all threads of the block take part, and get it.
__device__ inline const NormPart& sum_tile(TileParts& parts, int rows) {
  for (int half = rows / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x].add(parts[threadIdx.x + half]);
  }
  __syncthreads();
  return parts[0];
}

}  // namespace ffjord::cuda
