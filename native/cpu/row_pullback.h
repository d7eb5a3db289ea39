// The pullback of rows that stepped apart.
#pragma once

#include <span>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// As pull_checkpoints. Rows with about as many steps share a tile, so that few places idle; which
/// ones depends on the solve alone, so sums are the same for any number of threads.
double pull_rows(const BlockCall& call, const SolveTape& tape, std::size_t weights,
                 const BlockRows<float>& rows, std::span<float> gradients,
                 SolveStatistics& statistics);

}  // namespace ffjord::cpu
