// Shapes of launches: tiles of rows, or a thread for every entry of an array.
#pragma once

#include <cstddef>

#include "cuda/device/launch.h"

namespace ffjord::cuda {

/// How many tiles of `size` hold `count`.
__host__ __device__ inline int tiles_of(int count, int size) { return (count + size - 1) / size; }

inline constexpr int kFlatThreads = 128;

inline LaunchShape flat_shape(std::size_t entries) {
  return {dim3(static_cast<unsigned>((entries + kFlatThreads - 1) / kFlatThreads)),
          dim3(kFlatThreads)};
}

/// The present thread's entry under flat_shape.
__device__ inline std::size_t flat_index() {
  return std::size_t(blockIdx.x) * kFlatThreads + threadIdx.x;
}

}  // namespace ffjord::cuda
