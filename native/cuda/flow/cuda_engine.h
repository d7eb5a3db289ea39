// The engine for NVIDIA GPUs: kernels for dense nets, step control on the device.
#pragma once

#include <optional>
#include <vector>

#include "core/engine.h"
#include "cuda/device/cuda_options.h"

namespace ffjord::cuda {

/// One for each installed device, or one entry that says why there is none. Their flows compute as
/// `options` says, or without it as FFJORD_CUDA_OPTIONS does when a flow is made.
std::vector<Engine> engines(const std::optional<CudaOptions>& options = std::nullopt);

}  // namespace ffjord::cuda
