// ε of a block, drawn on the device.
#pragma once

#include "core/block_noise.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {

/// (K, B, columns); empty for an exact trace.
DeviceArray<float> make_noise(const BlockNoise<float>& noise, const Stream& stream);

}  // namespace ffjord::cuda
