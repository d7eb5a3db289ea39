#include <algorithm>
#include <limits>
#include <optional>

#include "core/errors.h"
#include "cuda/solve_outcome.h"
#include "cuda/tiling.h"

namespace ffjord::cuda {
namespace {

constexpr std::size_t kRowsNamed = 16;  // of those that made a solve fail

}  // namespace

Grouping Grouping::of(int batch, Control control) {
  return {batch, control == Control::Batch ? batch : std::min(batch, kGroupRows)};
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

void SolveOutcome::require_progress(const StepPolicy& policy) {
  for (int i = 0; i < grouping_.count(); ++i) {
    const Group& group = ends_[i];
    if (group.not_finite_at_start) {
      SolveFailure failure = start_not_finite(group.t);
      failure.rows = rows_over(i, std::numeric_limits<float>::max());
      throw failure;
    }
    if (group.rule.failure == StepFailure::None) continue;
    SolveFailure failure = step_failure(group.rule, policy, std::nullopt);
    failure.rows = rows_over(i, 1);
    throw failure;
  }
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
    sum.add(counts, static_cast<double>(grouping_.rows_in(i)) / grouping_.batch);
  }
  return sum;
}

// Of a group: rows whose last error is over `limit` or NaN.
std::vector<std::size_t> SolveOutcome::rows_over(int group, float limit) {
  std::vector<float> errors(grouping_.batch);
  row_errors_.copy_out(errors, stream_);
  stream_.synchronize();
  const std::size_t first = std::size_t(group) * grouping_.rows;
  std::vector<std::size_t> rows;
  for (std::size_t row = first; row < first + grouping_.rows_in(group) && rows.size() < kRowsNamed;
       ++row)
    if (!(errors[row] <= limit)) rows.push_back(row);
  return rows;
}

}  // namespace ffjord::cuda
