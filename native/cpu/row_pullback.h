// The pullback of rows that stepped apart.
#pragma once

#include <span>
#include <vector>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// As pull_checkpoints. A row that is done leaves its place in a tile to the next of its slot,
/// those with the most steps first, so that few places idle; which row stands where depends on the
/// slot's solve alone.
std::vector<double> pull_rows(const BlockCall& call, const SolveTape& tape, std::size_t weights,
                              const BlockRows<float>& rows, std::span<float> gradients,
                              SolveStatistics& statistics);

}  // namespace ffjord::cpu
