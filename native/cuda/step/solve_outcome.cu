#include <algorithm>
#include <limits>

#include "core/errors.h"
#include "cuda/step/solve_outcome.h"

namespace ffjord::cuda {
namespace {

constexpr std::size_t kRowsNamed = 16;  // of those that made a solve fail

}  // namespace

Grouping Grouping::of(int batch, Control control) {
  switch (control) {
    case Control::Batch:
      return {batch, batch};
    case Control::Tile:
      return {batch, std::min(batch, kGroupRows)};
    case Control::Sample:
      break;
  }
  return {batch, 1};
}

SolveOutcome::SolveOutcome(const Grouping& grouping, const Stream& stream)
    : grouping_(grouping),
      stream_(stream),
      groups_(grouping.count(), stream),
      row_errors_(grouping.batch, stream),
      seen_(grouping.count()) {}

void SolveOutcome::look() {
  groups_.copy_out(seen_.span(), stream_);
  stream_.synchronize();
  ends_.assign(seen_.span().begin(), seen_.span().end());
}

void SolveOutcome::require_end(const StepPolicy& policy, bool whole) {
  const auto failed =
      std::find_if(ends_.begin(), ends_.end(), [](const Group& group) { return !group.rule.done; });
  if (failed == ends_.end()) return;
  SolveFailure failure = failed->not_finite_at_start
                             ? start_not_finite(failed->t)
                             : step_failure(failed->rule, policy, failed->stiffness());
  failure.rows = offending_rows(whole);
  throw failure;
}

SolveStatistics SolveOutcome::statistics() const {
  SolveStatistics sum;
  for (int i = 0; i < grouping_.count(); ++i) {
    const StepRule<double>& rule = ends_[i].rule;
    SolveStatistics counts;
    counts.evaluations = ends_[i].evaluations;
    counts.accepted = rule.accepted;
    counts.rejected = rule.rejected;
    counts.smallest_step = rule.smallest_step;
    counts.largest_step = rule.largest_step;
    counts.smallest_step_row = ends_[i].smallest_row;
    counts.stiffness_sum = ends_[i].stiffness_sum;
    sum.add(counts, static_cast<double>(grouping_.rows_in(i)) / grouping_.batch);
  }
  return sum;
}

DeviceArray<Group> SolveOutcome::copy_groups() const {
  DeviceArray<Group> copy(groups_.size(), stream_);
  copy.copy_from(groups_, stream_);
  return copy;
}

// Names rows of groups that failed, whose last error is over their tolerance or not finite; a row
// that steps alone is to blame itself.
std::vector<std::size_t> SolveOutcome::offending_rows(bool whole) {
  std::vector<float> errors(grouping_.batch);
  row_errors_.copy_out(errors, stream_);
  stream_.synchronize();
  std::vector<std::size_t> rows;
  for (int i = 0; i < grouping_.count(); ++i) {
    if (ends_[i].rule.done) continue;
    const float limit = ends_[i].not_finite_at_start ? std::numeric_limits<float>::max() : 1;
    const std::size_t first = std::size_t(i) * grouping_.rows;
    for (std::size_t row = first; row < first + grouping_.rows_in(i); ++row)
      if (((whole && grouping_.rows == 1) || !(errors[row] <= limit)) && rows.size() < kRowsNamed)
        rows.push_back(row);
  }
  return rows;
}

}  // namespace ffjord::cuda
