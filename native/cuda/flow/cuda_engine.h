// The engine for NVIDIA GPUs: kernels for dense nets, step control on the device.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/engine.h"
#include "core/flow_device.h"
#include "cuda/device/cuda_options.h"

namespace ffjord::cuda {

/// Makes the device of another engine, whose memory is the host's.
using MakeHostDevice = std::function<std::unique_ptr<FlowDevice<float>>(const EngineOptions&)>;

/// One for each installed device, or one entry that says why there is none. Their flows compute as
/// `options` says, or without it as FFJORD_CUDA_OPTIONS does when a flow is made; `make_host` makes
/// what computes the posteriors of autoencoders, without which they have no flow.
std::vector<Engine> engines(const std::optional<CudaOptions>& options = std::nullopt,
                            const MakeHostDevice& make_host = {});

}  // namespace ffjord::cuda
