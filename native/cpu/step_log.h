// Accepted steps of rows that step apart: in the order in which a worker made them, then row after
// row.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// The steps of one worker.
struct StepLog {
  std::vector<std::size_t> rows;
  std::vector<Step> steps;
  std::vector<float> z;  // (steps, D): before each
};

/// The steps of all workers, whichever of them had a row.
inline void gather_steps(std::span<const StepLog* const> logs, std::size_t dimension,
                         std::size_t batch, RowSteps& tape) {
  tape.first.assign(batch + 1, 0);
  for (const StepLog* log : logs)
    for (std::size_t row : log->rows) ++tape.first[row + 1];
  for (std::size_t row = 0; row < batch; ++row) tape.first[row + 1] += tape.first[row];
  tape.steps.resize(tape.first.back());
  tape.z.resize(tape.steps.size() * dimension);
  std::vector<std::size_t> next(tape.first.begin(), tape.first.end() - 1);
  for (const StepLog* log : logs)
    for (std::size_t i = 0; i < log->rows.size(); ++i) {
      const std::size_t at = next[log->rows[i]]++;
      tape.steps[at] = log->steps[i];
      std::copy_n(&log->z[i * dimension], dimension, &tape.z[at * dimension]);
    }
}

}  // namespace ffjord::cpu
