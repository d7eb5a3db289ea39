// The solve where every row has its own t and h (Control::Sample). Rows share evaluations, not
// steps: those that arrive leave their tile, and the next of the batch take their places.
#pragma once

#include <span>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// As ContinuousBlock::solve_rows; `terms` are those of the context, `tape` may be null. What a row
/// comes to does not depend on the others of its batch, to the last bit.
void solve_rows(const BlockCall& call, const BlockRows<float>& rows, std::span<const float> eps,
                const AlignedFloats& terms, RowSteps* tape,
                const BlockTrajectory<float>* trajectory, SolveStatistics& statistics);

}  // namespace ffjord::cpu
