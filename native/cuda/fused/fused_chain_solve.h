// The kernels of fused_solve.h whose activations stay in registers.
#pragma once

#include "cuda/fused/fused_stepper.h"

namespace ffjord::cuda {

FusedSolveKernel chain_solve(int tangents);

}  // namespace ffjord::cuda
