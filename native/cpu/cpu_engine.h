// The float32 engine for processors: SIMD kernels on tiles of rows, one barrier a step.
#pragma once

#include <memory>

#include "core/engine.h"
#include "core/flow_device.h"

namespace ffjord::cpu {

Engine engine();

/// What its flows run on.
std::unique_ptr<FlowDevice<float>> make_device(const EngineOptions& options);

}  // namespace ffjord::cpu
