// Gradient by `checkpoint`: the solve's accepted steps are differentiated as they were computed.
// Their stages are recomputed from the state before a step.
#pragma once

#include "cuda/block/workspace.h"

namespace ffjord::cuda {

/// Does what ContinuousBlock::pull_rows does, but for the end time: to `row_sums` (B) it adds each
/// row's part of Σ (h h̄ + t t̄), which is T T̄ with the fractions h/T held constant. `gradient`: of
/// the block's parameters, on the device; null: not wanted.
void pull_checkpoints(const BlockCall& call, Workspace& workspace, const SolveTape& tape,
                      const BlockRows<float>& rows, double* row_sums, float* gradient,
                      SolveStatistics& statistics);

}  // namespace ffjord::cuda
