#include "cuda/add_values.h"
#include "cuda/grid.h"

namespace ffjord::cuda {
namespace {

// One thread a value: an addition, 12 bytes.
__global__ void add_array(const float* values, std::size_t count, float* target) {
  const std::size_t i = flat_index();
  if (i < count) target[i] += values[i];
}

__global__ void add_scalar(float value, float* target) { *target += value; }

}  // namespace

void add_values(const float* values, std::size_t count, float* target, const Stream& stream) {
  launch("add_array", add_array, flat_shape(count), stream, values, count, target);
}

void add_value(float value, float* target, const Stream& stream) {
  launch("add_scalar", add_scalar, LaunchShape(), stream, value, target);
}

}  // namespace ffjord::cuda
