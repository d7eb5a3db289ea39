// Rows of a dataset that stays on the device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device/stream.h"

namespace ffjord::cuda {

/// target[i] = rows[indices[i]]. All addresses are of the device: rows (N, columns),
/// indices (count), target (count, columns).
void gather_rows(const float* rows, const std::uint32_t* indices, std::size_t count,
                 std::size_t columns, float* target, const Stream& stream);

}  // namespace ffjord::cuda
