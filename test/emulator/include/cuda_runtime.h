// Stands in for the CUDA toolkit's header of this name, so that the sources of native/cuda compile
// with a host compiler and run on the emulator. Holds what those sources use, no more.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

#include "device_functions.h"
#include "runtime_api.h"
#include "vector_types.h"
