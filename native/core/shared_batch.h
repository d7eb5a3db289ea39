// One batch of a burst as a rank of a group sees it: which rows are its own, and what all ranks'
// losses and gradients add up to. Without a group it has all rows, and sums are what they are.
#pragma once

#include <cstddef>
#include <vector>

#include "core/group.h"
#include "core/slots.h"
#include "core/step_control.h"

namespace ffjord {

/// Where the numbers of a report stand.
struct ReportNumbers {
  std::vector<double*> means;   ///< over the batch, of which a rank has what its rows add
  std::vector<double*> counts;  ///< means over the rows that a rank has

  void count(SolveStatistics& forward, SolveStatistics& backward) {
    for (double* one :
         {&forward.evaluations, &forward.accepted, &forward.rejected, &backward.evaluations})
      counts.push_back(one);
  }
};

class SharedBatch {
 public:
  /// `rows` of the batch; runs of `unit` of them stay together. Where they are too few for all
  /// ranks, each computes all of them, and rank 0's numbers count.
  SharedBatch(Group* group, std::size_t rows, std::size_t unit = 1) : group_(group), own_{0, rows} {
    if (!group || group->size() == 1) return;
    const std::vector<RowRange> shares = group->shares(rows, unit);
    for (const RowRange& one : shares)
      if (one.first == one.end) return;
    own_ = shares[group->rank()];
    share_ = {own_.first, rows, group};
    shared_ = true;
  }

  std::size_t first() const { return own_.first; }
  std::size_t count() const { return own_.end - own_.first; }
  const BatchShare& share() const { return share_; }
  /// Of the rows of the batch, those of this rank.
  double weight() const { return shared_ ? double(count()) / double(share_.whole) : 1; }

  /// Makes them those of the batch.
  void sum(const ReportNumbers& numbers) const {
    if (!group_) return;
    std::vector<double> terms;
    for (const double* mean : numbers.means) terms.push_back(*mean);
    for (const double* count : numbers.counts) terms.push_back(weight() * *count);
    if (!counts()) terms.assign(terms.size(), 0);
    group_->sum(std::span(terms));
    auto next = terms.begin();
    for (double* mean : numbers.means) *mean = *next++;
    for (double* count : numbers.counts) *count = *next++;
  }
  /// The gradients in the model's buffer.
  template <class Model>
  void sum_gradients(Model& model) const {
    if (!group_ || group_->size() == 1) return;
    if (!counts()) model.zero_gradients();
    model.sum_gradients(*group_);
  }

 private:
  bool counts() const { return shared_ || group_->rank() == 0; }

  Group* const group_;
  RowRange own_;
  BatchShare share_;
  bool shared_ = false;
};

}  // namespace ffjord
