// The run of fixed transforms that a flow begins with, in float64 on the host: nothing of a
// caller's rows is rounded before the engine's first block reads what the run makes of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "core/arrays.h"
#include "core/errors.h"
#include "core/fixed_transform.h"

namespace ffjord {

/// What a run keeps of its elementwise transforms, in its order: the data sides of their maps
/// (B, D).
using FixedTape = std::vector<std::vector<double>>;

/// Element `at` of rows of `size` numbers is more than the engine's numbers hold.
[[noreturn]] void refuse_overflow(const Input& rows, std::size_t size, std::size_t at,
                                  std::size_t first);

/// Rows of `size` numbers in the engine's; throws where those do not hold a finite one. What was no
/// number before is for the solve to name, with its block and time. `first`: the number of the
/// first row.
template <class Real>
std::vector<Real> rounded_to(const Input& rows, std::size_t size, std::size_t first = 0) {
  std::vector<Real> rounded = rows.as<Real>();
  const auto is_finite = [](Real value) { return std::isfinite(value); };
  if (std::all_of(rounded.begin(), rounded.end(), is_finite)) return rounded;
  const std::vector<double> given = rows.as<double>();
  for (std::size_t at = 0; at < rounded.size(); ++at)
    if (!is_finite(rounded[at]) && std::isfinite(given[at])) refuse_overflow(rows, size, at, first);
  return rounded;
}

class FixedRun {
 public:
  /// `flow` and `shapes` (before each block) outlive the run.
  FixedRun(const FlowDescription& flow, const std::vector<std::vector<int>>& shapes);

  /// Blocks in the run.
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const Block> blocks() const { return {flow_.blocks.data(), size_}; }
  /// Whether it maps elements alone, rows of `size`, and every number of [lowest, highest] to one
  /// that a float holds.
  bool maps_elements(double lowest, double highest, std::size_t size) const;

  /// Data → base in place; subtracts from Δlogp. Returns the rows outside, which `outside` allows.
  std::vector<std::size_t> map(const TransformRows<double>& rows, Outside outside,
                               FixedTape* tape) const;
  /// Base → data in place; adds to Δlogp.
  void invert(const TransformRows<double>& rows, FixedTape* tape) const;
  /// Cotangents of `map`'s outputs, or of `invert`'s, → of its input, in place.
  void pull_back(bool inverted, const FixedTape& tape, const TransformRows<double>& bar) const;

  /// Hands out rows of data (B, D). Where float32 would put one outside it takes the next numbers.
  void hand_over(std::size_t batch, std::span<const double> rows, const Output& output) const;

 private:
  std::vector<float> rounded(std::size_t batch, std::span<const double> rows) const;

  const FlowDescription& flow_;
  const std::vector<std::vector<int>>& shapes_;
  const std::size_t size_;
  bool bounded_ = false;  // whether some rows lie outside
};

}  // namespace ffjord
