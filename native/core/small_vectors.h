// Vectors of a row, in plain loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace ffjord {

template <class Real>
Real dot(std::span<const Real> a, std::span<const Real> b) {
  // Several sums, as a compiler may not reorder one.
  constexpr std::size_t kSums = 8;
  Real sums[kSums] = {}, rest = 0;
  std::size_t i = 0;
  for (; i + kSums <= a.size(); i += kSums)
    for (std::size_t lane = 0; lane < kSums; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (; i < a.size(); ++i) rest += a[i] * b[i];
  for (Real sum : sums) rest += sum;
  return rest;
}

/// to += factor · from
template <class Real>
void add_scaled(Real factor, std::span<const Real> from, std::span<Real> to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * from[i];
}

template <class Real>
Real sigmoid(Real x) {
  return 1 / (1 + std::exp(-x));
}

/// Copies `values` to `tape` from `place` on, unless there is no tape.
template <class Real>
void keep(std::span<const Real> values, std::span<Real> tape, std::size_t place) {
  if (!tape.empty()) std::copy(values.begin(), values.end(), tape.begin() + place);
}

}  // namespace ffjord
