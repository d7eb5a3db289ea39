// Gradient by `checkpoint`: the solve's accepted steps are differentiated as they were computed.
// Stages that the solve did not keep are recomputed from the state before a step: at most, a dopri5
// step costs 6 evaluations and 6 pullbacks.
#pragma once

#include <vector>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// As ContinuousBlock::pull_rows, but for the end time: returns Σ (h h̄ + t t̄) of each slot of rows,
/// which is T T̄ with the fractions h/T held constant. `weights` counts the block's weights.
std::vector<double> pull_checkpoints(const BlockCall& call, const SolveTape& tape,
                                     std::size_t weights, const BlockRows<float>& rows,
                                     std::span<float> gradients, SolveStatistics& statistics);

}  // namespace ffjord::cpu
