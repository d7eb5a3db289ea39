#include "cuda/device/add_values.h"
#include "cuda/device/block_sum.h"

namespace ffjord::cuda {
namespace {

// One thread a value: an addition, 12 bytes.
__global__ void add_array(const float* values, std::size_t count, float* target) {
  const std::size_t i = flat_index();
  if (i < count) target[i] += values[i];
}

// One block: a number of each row of a batch.
__global__ void add_row_sum(const double* values, std::size_t count, double scale, float* target) {
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < count; i += kFlatThreads) sum += values[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *target += static_cast<float>(scale * sum);
}

}  // namespace

void add_values(const float* values, std::size_t count, float* target, const Stream& stream) {
  launch("add_array", add_array, flat_shape(count), stream, values, count, target);
}

void add_sum(const double* values, std::size_t count, double scale, float* target,
             const Stream& stream) {
  launch("add_row_sum", add_row_sum, sum_shape<double>(1), stream, values, count, scale, target);
}

}  // namespace ffjord::cuda
