// Integrates rows along a block, with one step for the batch or one a tile.
#pragma once

#include <memory>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// As ContinuousBlock::solve.
std::unique_ptr<SolveTape> solve_flow(const BlockCall& call, const BlockRows<float>& rows,
                                      std::span<const float> eps, bool keep_tape,
                                      const BlockTrajectory<float>* trajectory,
                                      SolveStatistics& statistics);

}  // namespace ffjord::cpu
