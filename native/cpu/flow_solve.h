// Integrates rows along a block, with a step for the batch, a tile or (row_solve.h) every row.
#pragma once

#include <memory>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// As ContinuousBlock::solve_rows.
std::unique_ptr<SolveTape> solve_flow(const BlockCall& call, const BlockRows<float>& rows,
                                      std::span<const float> eps, bool keep_tape,
                                      const BlockTrajectory<float>* trajectory,
                                      SolveStatistics& statistics);

}  // namespace ffjord::cpu
