// The sum of a value of each thread of a block, by a tree that is always the same.
#pragma once

#include "cuda/device/grid.h"
#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

template <class Value>
using BlockParts = Value[kFlatThreads];

/// Shape of blocks that call block_sum.
template <class Value>
LaunchShape sum_shape(std::size_t blocks) {
  return {dim3(static_cast<unsigned>(blocks)), dim3(kFlatThreads), sizeof(BlockParts<Value>)};
}

/// Called by all threads; the sum is the first one's.
template <class Value>
__device__ Value block_sum(Value value) {
  BlockParts<Value>& parts = shared_memory<BlockParts<Value>>();
  parts[threadIdx.x] = value;
  for (unsigned half = kFlatThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  return parts[threadIdx.x];
}

}  // namespace ffjord::cuda
