// Sums of arrays on the device.
#pragma once

#include <cstddef>

#include "cuda/device/stream.h"

namespace ffjord::cuda {

/// target += values
void add_values(const float* values, std::size_t count, float* target, const Stream& stream);
/// *target += scale · Σ values, in an order that depends on `count` alone.
void add_sum(const double* values, std::size_t count, double scale, float* target,
             const Stream& stream);

}  // namespace ffjord::cuda
