// The kernels of fused_solve.h that multiply by fragments.
#pragma once

#include "cuda/fused/fused_stepper.h"

namespace ffjord::cuda {

FusedSolveKernel fragment_solve(FusedShape shape, int tangents);

}  // namespace ffjord::cuda
