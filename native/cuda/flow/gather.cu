#include "cuda/device/intrinsics.h"
#include "cuda/device/launch.h"
#include "cuda/flow/gather.h"

namespace ffjord::cuda {
namespace {

// One thread a value; threads side by side read values side by side.
__global__ void gather(const float* __restrict__ rows, const std::uint32_t* __restrict__ indices,
                       std::size_t count, std::size_t columns, float* __restrict__ target) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < count * columns; i += step)
    target[i] = rows[indices[i / columns] * columns + i % columns];
}

constexpr unsigned kThreads = 256, kMostBlocks = 4096;

}  // namespace

void gather_rows(const float* rows, const std::uint32_t* indices, std::size_t count,
                 std::size_t columns, float* target, const Stream& stream) {
  if (count * columns == 0) return;
  const std::size_t blocks = (count * columns + kThreads - 1) / kThreads;
  const LaunchShape shape{dim3(blocks < kMostBlocks ? static_cast<unsigned>(blocks) : kMostBlocks),
                          dim3(kThreads)};
  launch("gather", gather, shape, stream, rows, indices, count, columns, target);
}

}  // namespace ffjord::cuda
