// The loss of maximum likelihood over rows at the base, and its cotangents.
#pragma once

#include <cmath>
#include <cstddef>
#include <functional>
#include <numbers>
#include <span>
#include <vector>

#include "core/slots.h"

namespace ffjord {

/// Means over a batch, a row each; regularisers unweighted. A share of the batch gives what
/// its rows add to them.
struct LikelihoodMeans {
  double negative_log_prob = 0;  ///< −log p(x), nats
  std::vector<double> regularisers;
};

/// Means that are here, or on their way from a device.
struct PendingMeans {
  bool here = true;
  std::function<LikelihoodMeans()> wait;  ///< may be called until the next likelihood of the flow
};

/// Cotangents of share · Σ_rows (−log p(x) + Σ_r weights_r · regulariser_r).
struct LikelihoodBar {
  double share = 0;  ///< of a row: 1/B of the whole batch
  std::vector<double> weights;
};

/// Rows at the base, or their cotangents: z (B, D), Δlogp (B), regularisers (B, R).
template <class Real>
struct BaseRows {
  std::span<Real> z, delta_logp, regularisers;
  BatchShare share = {};

  std::size_t count() const { return delta_logp.size(); }
  /// B of the whole batch.
  std::size_t whole() const { return share.whole_of(count()); }
};

/// log N(z; 0, I) + sign · Δlogp of one row, nats.
template <class Real>
double log_density_of_row(std::span<const Real> z, double delta_logp, double sign) {
  double square = 0;
  for (const Real value : z) square += double(value) * double(value);
  return -0.5 * (square + z.size() * std::log(2 * std::numbers::pi)) + sign * delta_logp;
}

template <class Real>
LikelihoodMeans likelihood_means(const BaseRows<const Real>& rows) {
  const std::size_t size = rows.z.size() / rows.count();
  const std::size_t channels = rows.regularisers.size() / rows.count();
  const double whole = double(rows.whole());
  const Slots slots(rows.count(), rows.share);
  LikelihoodMeans means;
  means.negative_log_prob = sum_of_rows(slots, [&](std::size_t row) {
    return -log_density_of_row(rows.z.subspan(row * size, size), rows.delta_logp[row], -1) / whole;
  });
  for (std::size_t i = 0; i < channels; ++i)
    means.regularisers.push_back(sum_of_rows(slots, [&](std::size_t row) {
      return double(rows.regularisers[row * channels + i]) / whole;
    }));
  return means;
}

/// −log p = ½‖z‖² + const + Δlogp.
template <class Real>
void seed_likelihood(const LikelihoodBar& bar, std::span<const Real> z,
                     const BaseRows<Real>& bars) {
  const std::size_t channels = bars.regularisers.size() / bars.count();
  for (std::size_t i = 0; i < z.size(); ++i) bars.z[i] = static_cast<Real>(bar.share * z[i]);
  for (Real& value : bars.delta_logp) value = static_cast<Real>(bar.share);
  for (std::size_t i = 0; i < bars.regularisers.size(); ++i)
    bars.regularisers[i] = static_cast<Real>(bar.weights[i % channels] * bar.share);
}

}  // namespace ffjord
