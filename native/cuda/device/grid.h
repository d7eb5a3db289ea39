// Shapes of launches that give every entry of an array a thread.
#pragma once

#include <cstddef>

#include "cuda/device/launch.h"

namespace ffjord::cuda {

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
