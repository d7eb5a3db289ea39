// Gradient by `adjoint` (Chen et al. 2018): z is integrated back from the end state together with
// its cotangent λ and the weights' θ̄.
#pragma once

#include "cuda/workspace.h"

namespace ffjord::cuda {

/// As ContinuousBlock::pullback, but for the end time: returns T̄. `gradient`: of the block's
/// parameters, on the device, added to; null: not wanted.
double pull_adjoint(const BlockCall& call, const SolveTape& tape, const BlockRows<float>& rows,
                    float* gradient, SolveStatistics& statistics);

}  // namespace ffjord::cuda
