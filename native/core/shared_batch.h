// One batch of a burst as a rank of a group sees it: which rows are its own, and what all ranks'
// losses and gradients add up to. Without a group it has all rows, and sums are what they are.
#pragma once

#include <cstddef>
#include <vector>

#include "core/group.h"
#include "core/slots.h"
#include "core/training.h"

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
  /// Part `number` of `parts` of a batch; of its rows, runs of `unit` stay together. Where they are
  /// too few for all ranks, each computes all of them, and rank 0's numbers count.
  SharedBatch(Group* group, const Batch& batch, std::size_t number = 0, std::size_t parts = 1,
              std::size_t unit = 1)
      : group_(group), batch_(batch) {
    const auto place = [&](std::size_t rows) {
      return RowRange{rows * number / parts, rows * (number + 1) / parts};
    };
    own_ = place(batch.indices.size());
    first_ = own_.first;
    rows_ = own_.end - own_.first;
    weight_ = double(rows_) / double(batch.indices.size());
    if (!group || group->size() == 1) return;
    if (batch.rank_rows.empty())
      take_share(unit);
    else
      find_own(place);
  }

  /// Of this rank, among those of the batch at hand.
  std::span<const std::uint32_t> indices() const {
    return batch_.indices.subspan(own_.first, count());
  }
  std::size_t count() const { return own_.end - own_.first; }
  /// The number of its first row in the batch of all ranks.
  std::size_t first() const { return first_; }
  const BatchShare& share() const { return share_; }
  Noise noise() const {
    Noise noise = batch_.noise;
    noise.row_offset += static_cast<std::uint32_t>(first_);
    return noise;
  }
  /// Of the rows of the batch, those of the part.
  double weight() const { return weight_; }

  /// Makes them those of the batch.
  void sum(const ReportNumbers& numbers) const {
    if (!group_) return;
    std::vector<double> terms;
    for (const double* mean : numbers.means) terms.push_back(*mean);
    for (const double* count : numbers.counts) terms.push_back(rank_weight() * *count);
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
  // Of the rows of the part, those of this rank.
  double rank_weight() const { return shared_ ? double(count()) / double(share_.whole) : 1; }

  // All ranks have all rows at hand.
  void take_share(std::size_t unit) {
    const std::vector<RowRange> shares = group_->shares(rows_, unit);
    for (const RowRange& one : shares)
      if (one.first == one.end) return;
    const RowRange& share = shares[group_->rank()];
    share_ = {share.first, rows_, group_};
    own_ = {first_ + share.first, first_ + share.end};
    first_ = own_.first;
    shared_ = true;
  }

  // Each has its own. `place`: of the part, among so many rows.
  template <class Place>
  void find_own(const Place& place) {
    std::size_t before = 0, all = 0;
    first_ = rows_ = 0;
    for (std::size_t rank = 0; rank < batch_.rank_rows.size(); ++rank) {
      const RowRange part = place(batch_.rank_rows[rank]);
      first_ += part.first;
      if (rank < std::size_t(group_->rank())) before += part.end - part.first;
      rows_ += part.end - part.first;
      all += batch_.rank_rows[rank];
    }
    share_ = {before, rows_, group_};
    first_ += before;
    weight_ = double(rows_) / double(all);
    shared_ = true;
  }

  Group* const group_;
  const Batch& batch_;
  RowRange own_;  // places among the batch's indices
  std::size_t first_ = 0, rows_ = 0;
  double weight_ = 1;
  BatchShare share_;
  bool shared_ = false;
};

}  // namespace ffjord
