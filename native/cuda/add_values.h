// Sums of arrays on the device.
#pragma once

#include <cstddef>

#include "cuda/stream.h"

namespace ffjord::cuda {

/// target += values
void add_values(const float* values, std::size_t count, float* target, const Stream& stream);
/// *target += value
void add_value(float value, float* target, const Stream& stream);

}  // namespace ffjord::cuda
