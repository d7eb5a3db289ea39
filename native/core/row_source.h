// Where the rows of a call come from, samples and their contexts alike: they are given with the
// call, or are rows of a data set.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/arrays.h"

namespace ffjord {

/// Rows of a training run, samples or their contexts, which go to the device once, at the first
/// solve that reads them there: of samples, what the flow's first run of fixed transforms makes of
/// them.
class Rows {
 public:
  virtual ~Rows() = default;
  virtual std::size_t count() const = 0;
};

struct RowSource {
  Input given;                             ///< (B, width), or
  const Rows* set = nullptr;               ///< the rows of a data set
  std::span<const std::uint32_t> indices;  ///< at these places (B)
  std::uint32_t visit = 0;                 ///< which visit of images this is: the epoch

  RowSource() = default;
  RowSource(const std::convertible_to<Input> auto& given) : given(given) {}
  RowSource(const Rows& set, std::span<const std::uint32_t> indices, std::uint32_t visit = 0)
      : set(&set), indices(indices), visit(visit) {}

  /// The number of row `row` of the batch, as the caller counts: of the data set's rows.
  std::size_t number_of(std::size_t row) const { return set ? indices[row] : row; }

  /// Rows `first` … `first + count` of a batch of `batch`; none of none.
  RowSource part(std::size_t first, std::size_t count, std::size_t batch) const {
    if (set) return {*set, indices.subspan(first, count), visit};
    const std::size_t width = given.size() / batch;
    return given.subspan(first * width, count * width);
  }
};

}  // namespace ffjord
