// Sums over the rows of a batch, one a column, in float64: rows are cut into parts of a fixed
// length and the parts are added in order, so that the order depends on the number of rows alone.
#pragma once

#include <algorithm>
#include <cstddef>

#include "cuda/device/grid.h"
#include "cuda/device/intrinsics.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {

namespace column_sums {

inline constexpr int kColumns = 32;  // of a block, one a lane of its warps
inline constexpr int kWarps = kFlatThreads / kColumns;
inline constexpr std::size_t kPartRows = 256;

using WarpSums = double[kWarps][kColumns];

// `Terms` has kSums, the number of sums a column, and gives their terms of (row, column). A warp
// takes every fourth row of the part, 32 columns side by side: a read of every value, an addition
// of float64 a term, and 1 KiB of shared memory; 32 registers.
template <class Terms>
__global__ void sum_column_parts(Terms terms, std::size_t rows, std::size_t columns,
                                 double* parts) {
  const std::size_t column = std::size_t(blockIdx.y) * kColumns + threadIdx.x % kColumns;
  const int warp = threadIdx.x / kColumns, lane = threadIdx.x % kColumns;
  const std::size_t first = std::size_t(blockIdx.x) * kPartRows;
  const std::size_t end = std::min(rows, first + kPartRows);
  double sums[Terms::kSums] = {};
  for (std::size_t row = first + warp; column < columns && row < end; row += kWarps)
    terms.add(row, column, sums);
  WarpSums& shared = shared_memory<WarpSums>();
  for (int k = 0; k < Terms::kSums; ++k) {
    shared[warp][lane] = sums[k];
    __syncthreads();
    if (warp == 0 && column < columns)
      parts[(std::size_t(blockIdx.x) * Terms::kSums + k) * columns + column] =
          (shared[0][lane] + shared[1][lane]) + (shared[2][lane] + shared[3][lane]);
    __syncthreads();
  }
}
static_assert(kWarps == 4);

// One thread a sum: 8 bytes and an addition a part; 32 registers.
template <class Terms>
__global__ void join_column_parts(const double* parts, std::size_t count, std::size_t sums,
                                  double scale, double* joined) {
  const std::size_t i = flat_index();
  if (i >= sums) return;
  double sum = 0;
  for (std::size_t part = 0; part < count; ++part) sum += parts[part * sums + i];
  joined[i] = scale * sum;
}

}  // namespace column_sums

/// sums[k][columns] = scale · Σ_rows of term k.
template <class Terms>
void sum_columns(const Terms& terms, std::size_t rows, std::size_t columns, double scale,
                 double* sums, const Stream& stream) {
  using namespace column_sums;
  const std::size_t parts = (rows + kPartRows - 1) / kPartRows;
  DeviceArray<double> partial(parts * Terms::kSums * columns, stream);
  LaunchShape shape;
  // Parts go along x, as y ends at 65,535.
  shape.grid = dim3(static_cast<unsigned>(parts),
                    static_cast<unsigned>((columns + kColumns - 1) / kColumns));
  shape.block = dim3(kFlatThreads);
  shape.shared_bytes = sizeof(WarpSums);
  launch("sum_column_parts", sum_column_parts<Terms>, shape, stream, terms, rows, columns,
         partial.data());
  launch("join_column_parts", join_column_parts<Terms>, flat_shape(Terms::kSums * columns), stream,
         partial.data(), parts, Terms::kSums * columns, scale, sums);
}

}  // namespace ffjord::cuda
