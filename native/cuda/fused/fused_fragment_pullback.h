// The kernels of fused_pullback.h that multiply by fragments.
#pragma once

#include "cuda/fused/fused_reverse.h"

namespace ffjord::cuda {

FusedPullbackKernel fragment_pullback(FusedShape shape, int tangents);

}  // namespace ffjord::cuda
