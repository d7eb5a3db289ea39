// The float32 engine for processors: SIMD kernels on tiles of rows, one barrier a step.
#pragma once

#include "core/engine.h"

namespace ffjord::cpu {

Engine engine();

}  // namespace ffjord::cpu
