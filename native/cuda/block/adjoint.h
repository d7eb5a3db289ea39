// Gradient by `adjoint` (Chen et al. 2018): z is integrated back from the end state together with
// its cotangent λ and the weights' θ̄.
#pragma once

#include "cuda/block/workspace.h"

namespace ffjord::cuda {

/// Does what ContinuousBlock::pull_rows does, but for the end time: writes each row's part of T̄ to
/// `end_time_bars` (B), where a gradient is wanted. `gradient`: of the block's
/// parameters, on the device, added to; null: not wanted.
void pull_adjoint(const BlockCall& call, Workspace& workspace, const SolveTape& tape,
                  const BlockRows<float>& rows, double* end_time_bars, float* gradient,
                  SolveStatistics& statistics);

}  // namespace ffjord::cuda
