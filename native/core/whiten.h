// y = W (x − mean) with W lower triangular: what an inverse Cholesky factor of a covariance makes
// of correlated rows. Products and substitutions run in place, in float64.
#pragma once

#include <cmath>
#include <cstddef>

#include "core/flow_description.h"
#include "core/transforms.h"

namespace ffjord {

/// Σ_i log W_ii
inline double log_determinant(const Whiten& whiten) {
  const std::size_t size = whiten.mean.size();
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += std::log(whiten.matrix[i * size + i]);
  return sum;
}

/// Data → base: y = W (x − mean); `inverted` solves for x from the first element on.
template <class Real>
void apply(const Whiten& whiten, bool inverted, const TransformRows<Real>& rows) {
  const std::size_t size = rows.size;
  const double shift = inverted ? log_determinant(whiten) : -log_determinant(whiten);
  std::vector<double> centred(size);  // x − mean
  for (std::size_t b = 0; b < rows.batch; ++b) {
    const auto row = rows.values.subspan(b * size, size);
    if (!inverted)
      for (std::size_t i = 0; i < size; ++i) centred[i] = row[i] - whiten.mean[i];
    for (std::size_t i = 0; i < size; ++i) {
      const double* weights = &whiten.matrix[i * size];
      double sum = 0;
      for (std::size_t j = 0; j < i; ++j) sum += weights[j] * centred[j];
      if (inverted) {
        centred[i] = (row[i] - sum) / weights[i];
        row[i] = static_cast<Real>(centred[i] + whiten.mean[i]);
      } else {
        row[i] = static_cast<Real>(sum + weights[i] * centred[i]);
      }
    }
    rows.delta_logp[b] += static_cast<Real>(shift);
  }
}

/// Cotangents of `apply`'s output → of its input, in place: Wᵀ ȳ, or W⁻ᵀ x̄ where inverted.
template <class Real>
void pull_back(const Whiten& whiten, bool inverted, const TransformRows<Real>& rows) {
  const std::size_t size = rows.size;
  std::vector<double> bar(size);
  for (std::size_t b = 0; b < rows.batch; ++b) {
    const auto row = rows.values.subspan(b * size, size);
    for (std::size_t i = 0; i < size; ++i) bar[i] = inverted ? row[i] : 0;
    for (std::size_t i = size; i-- > 0;) {
      const double* weights = &whiten.matrix[i * size];
      const double from = inverted ? bar[i] /= weights[i] : row[i];
      for (std::size_t j = 0; j < i; ++j) bar[j] += (inverted ? -weights[j] : weights[j]) * from;
      if (!inverted) bar[i] += weights[i] * from;
    }
    for (std::size_t i = 0; i < size; ++i) row[i] = static_cast<Real>(bar[i]);
  }
}

}  // namespace ffjord
