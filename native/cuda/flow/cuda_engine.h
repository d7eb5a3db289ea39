// The engine for NVIDIA GPUs: kernels for dense nets, step control on the device.
#pragma once

#include <vector>

#include "core/engine.h"

namespace ffjord::cuda {

/// One an installed device, or one entry that says why there is none.
std::vector<Engine> engines();

}  // namespace ffjord::cuda
