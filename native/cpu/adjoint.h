// Gradient by `adjoint` (Chen et al. 2018): z is integrated back from the end state together with
// its cotangent λ, dλ/dt = −λᵀ ∂f/∂z. Memory does not grow with the number of steps; the result is
// as exact as the tolerance.
#pragma once

#include <span>
#include <vector>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// As ContinuousBlock::pull_rows, but for the end time: returns T̄ of each slot of rows.
/// Leaves `gradients` as they are where the solve fails.
std::vector<double> pull_adjoint(const BlockCall& call, const SolveTape& tape,
                                 std::span<const ParameterRange> ranges,
                                 const BlockRows<float>& rows, std::span<float> gradients,
                                 SolveStatistics& statistics);

}  // namespace ffjord::cpu
