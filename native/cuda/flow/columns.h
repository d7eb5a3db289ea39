// Columns of rows, copied within the device's memory.
#pragma once

#include "core/device_memory.h"
#include "cuda/device/stream.h"

namespace ffjord::cuda {

/// As DeviceMemory::copy_columns.
void copy_columns(std::size_t batch, std::size_t count, const Columns<const float>& source,
                  const Columns<float>& target, const Stream& stream);

}  // namespace ffjord::cuda
