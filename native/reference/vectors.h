// The few loops over numbers that everything else is made of.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ffjord::reference {

using Vector = std::vector<double>;
using View = std::span<const double>;
using Target = std::span<double>;

/// Four sums at a time, so that the additions need not wait for each other.
inline double dot(const double* a, const double* b, std::size_t size) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  std::size_t i = 0;
  for (; i + 4 <= size; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (; i < size; ++i) s0 += a[i] * b[i];
  return (s0 + s1) + (s2 + s3);
}

inline double dot(View a, View b) { return dot(a.data(), b.data(), a.size()); }

/// y += scale · x
inline void add_scaled(double scale, const double* x, double* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] += scale * x[i];
}

inline void add_scaled(double scale, View x, Target y) {
  add_scaled(scale, x.data(), y.data(), x.size());
}

}  // namespace ffjord::reference
