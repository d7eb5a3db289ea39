// Sums over the rows of a batch that do not care who adds. A batch is cut into slots, contiguous
// runs of rows; each is summed by itself, and the sums are added as a balanced binary tree. Which
// rows a slot has follows from the whole batch alone, so any number of threads gives the same bits;
// so do processes that take a share of the batch each and add their sums in pairs.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "core/device_values.h"

namespace ffjord {

/// Adds what the processes that share a batch have of it, in the order of add_as_tree; core/group.h
/// is one. A call is one of all of them.
class SharedSums {
 public:
  virtual ~SharedSums() = default;
  virtual void sum(std::span<float> values) = 0;
  virtual void sum(std::span<double> values) = 0;
  /// The order is that of add_as_tree where they go through the host's memory alone.
  virtual void sum(DeviceValues& values) { sum_on_host<float>(values, *this); }
};

/// Of a solve that failed in all processes at once, whose rows stepped together: one that has no
/// part in it waits here, and throws what one says that has rows to name.
inline void await_culprit(SharedSums& sums, std::span<const std::size_t> rows) {
  double named = static_cast<double>(rows.size());
  sums.sum(std::span(&named, 1));
  // A rank with rows comes to the others' sum by its failure.
  if (named > 0 && rows.empty()) sums.sum(std::span(&named, 1));
}

/// Which rows of a batch those at hand are: all of them, unless the batch is shared.
struct BatchShare {
  std::size_t first = 0;
  std::size_t whole = 0;       ///< rows of the whole batch; 0: those at hand
  SharedSums* sums = nullptr;  ///< for sums that a call needs while it runs; null: of the rows at
                               ///< hand alone

  std::size_t whole_of(std::size_t rows) const { return whole == 0 ? rows : whole; }
  void sum(std::span<double> values) const {
    if (sums) sums->sum(values);
  }
};

struct RowRange {
  std::size_t first = 0, end = 0;
};

inline constexpr std::size_t kMostSlots = 16;
/// Tiles of an engine have 32 or 64 rows, and none of them lies in two slots.
inline constexpr std::size_t kLargeTile = 64, kSmallTile = 32;

/// `batch` rows in `count` runs, a power of two: halves of halves, so that the runs of a smaller
/// count are made of those of a larger one. The runs of 8 are the shares of 8 processes.
inline std::vector<RowRange> cut_rows(std::size_t batch, std::size_t count) {
  std::vector<RowRange> runs{{0, batch}};
  while (runs.size() < count) {
    std::vector<RowRange> halves;
    for (const auto& [first, end] : runs) {
      const std::size_t tile = end - first > kLargeTile ? kLargeTile : kSmallTile;
      const std::size_t tiles = (end - first + tile - 1) / tile;
      const std::size_t middle = std::min(end, first + (tiles + 1) / 2 * tile);
      halves.push_back({first, middle});
      halves.push_back({middle, end});
    }
    runs = std::move(halves);
  }
  return runs;
}

/// The slots of the rows at hand.
class Slots {
 public:
  /// `rows` at hand; the whole batch has at most `most` slots, and about `least_rows` a slot.
  explicit Slots(std::size_t rows, const BatchShare& share = {},
                 std::size_t least_rows = kSmallTile, std::size_t most = kMostSlots) {
    const std::size_t whole = share.whole_of(rows);
    const std::size_t filled = (whole + least_rows - 1) / least_rows;
    for (const auto& [first, end] :
         cut_rows(whole, std::bit_floor(std::max<std::size_t>(1, std::min(filled, most))))) {
      const RowRange own{std::max(first, share.first), std::min(end, share.first + rows)};
      if (own.first < own.end) ranges_.push_back({own.first - share.first, own.end - share.first});
    }
  }

  std::size_t count() const { return ranges_.size(); }
  const RowRange& operator[](std::size_t slot) const { return ranges_[slot]; }
  /// The slot of a row at hand.
  std::size_t of(std::size_t row) const {
    std::size_t slot = 0;
    while (row >= ranges_[slot].end) ++slot;
    return slot;
  }
  auto begin() const { return ranges_.begin(); }
  auto end() const { return ranges_.end(); }

 private:
  std::vector<RowRange> ranges_;  // of the rows at hand, counted from their first
};

/// The order in which `count` sums become one: `add(to, from)` of neighbours, of pairs, of fours.
/// The sum is then in the first.
template <class Add>
void add_as_tree(std::size_t count, const Add& add) {
  for (std::size_t stride = 1; stride < count; stride *= 2)
    for (std::size_t to = 0; to + stride < count; to += 2 * stride) add(to, to + stride);
}

template <class Number>
Number tree_sum(std::vector<Number> sums) {
  add_as_tree(sums.size(), [&](std::size_t to, std::size_t from) { sums[to] += sums[from]; });
  return sums.empty() ? Number(0) : sums.front();
}

/// Σ `value(row)` over each slot.
template <class Value>
std::vector<double> slot_sums(const Slots& slots, const Value& value) {
  std::vector<double> sums;
  for (const auto& [first, end] : slots) {
    double sum = 0;
    for (std::size_t row = first; row < end; ++row) sum += value(row);
    sums.push_back(sum);
  }
  return sums;
}

/// Σ `value(row)` over the rows at hand.
template <class Value>
double sum_of_rows(const Slots& slots, const Value& value) {
  return tree_sum(slot_sums(slots, value));
}

}  // namespace ffjord
