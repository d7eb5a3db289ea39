// Integrates rows along a block.
#pragma once

#include <memory>

#include "cuda/block/workspace.h"

namespace ffjord::cuda {

/// Does what ContinuousBlock::solve_rows does; the tape takes over `eps`.
std::unique_ptr<SolveTape> solve_flow(const BlockCall& call, Workspace& workspace,
                                      const BlockRows<float>& rows, DeviceArray<float> eps,
                                      bool keep_tape, const BlockTrajectory<float>* trajectory,
                                      SolveStatistics& statistics);

}  // namespace ffjord::cuda
