// The groups of a solve as the host sees them: how far they have come, whether one failed and on
// which rows, what their steps count.
#pragma once

#include <algorithm>
#include <vector>

#include "core/step_control.h"
#include "cuda/device/memory.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// Rows of a batch and how they step.
struct Grouping {
  int batch = 0, rows = 0;
  int count() const { return (batch + rows - 1) / rows; }
  /// The rows of a group; the last may be short.
  int rows_in(int group) const { return std::min(rows, batch - group * rows); }
  static Grouping of(int batch, Control control);
  /// Whether rows are given an order of their own (Groups::order).
  bool ordered() const { return rows == 1 && batch > 1; }
  bool operator==(const Grouping&) const = default;
};

class SolveOutcome {
 public:
  SolveOutcome(const Grouping& grouping, const Stream& stream);

  const Grouping& grouping() const { return grouping_; }
  Groups groups() { return {groups_.data(), grouping_.count(), grouping_.rows}; }
  float* row_errors() { return row_errors_.data(); }  ///< ErrorNorm::row_errors

  /// Copies the groups here; the only wait of a solve.
  void look();
  /// When no group goes on: throws SolveFailure where one failed, with the offending rows of all.
  /// `whole`: no other process has rows of the groups.
  void require_end(const StepPolicy& policy, bool whole = true);
  /// How each group stood when last looked at.
  const std::vector<Group>& ends() const { return ends_; }
  /// Counts over all rows, each once.
  SolveStatistics statistics() const;
  /// The groups as they are, for a pullback.
  DeviceArray<Group> copy_groups() const;

 private:
  std::vector<std::size_t> offending_rows(bool whole);

  const Grouping grouping_;
  const Stream& stream_;
  DeviceArray<Group> groups_;
  DeviceArray<float> row_errors_;  // (B)
  PinnedArray<Group> seen_;
  std::vector<Group> ends_;
};

}  // namespace ffjord::cuda
