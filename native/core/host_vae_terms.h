// The loss of a variational autoencoder on the host, for its engines.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/element_map.h"
#include "core/vae_terms.h"

namespace ffjord {

template <class Real>
Real logistic(Real x) {
  return Real(1) / (Real(1) + std::exp(-x));
}

template <class Real>
Real bounded_variance(const VarianceBounds& bounds, Real raw) {
  return std::clamp(softplus(raw), Real(bounds.least), Real(bounds.most));
}
/// ∂ variance / ∂ raw
template <class Real>
Real variance_slope(const VarianceBounds& bounds, Real raw) {
  const Real free = softplus(raw);
  if (free <= Real(bounds.least) || free >= Real(bounds.most)) return 0;
  return logistic(raw);
}

/// The class of a number of an image, k/255; of a NaN 0.
template <class Real>
std::size_t class_of(Real x) {
  const Real inside = x > 0 ? std::min(x, Real(1)) : Real(0);
  return static_cast<std::size_t>(inside * (kClasses - 1) + Real(0.5));
}

/// A row of logits (256, D): log Σ_k exp of every column, less its largest.
template <class Real>
struct ClassSums {
  std::vector<Real> most, sum;  // (D)

  ClassSums(std::span<const Real> logits, std::size_t size)
      : most(logits.begin(), logits.begin() + size), sum(size, Real(0)) {
    for (std::size_t k = 1; k < kClasses; ++k)
      for (std::size_t d = 0; d < size; ++d) most[d] = std::max(most[d], logits[k * size + d]);
    for (std::size_t k = 0; k < kClasses; ++k)
      for (std::size_t d = 0; d < size; ++d) sum[d] += std::exp(logits[k * size + d] - most[d]);
  }
  Real probability(Real logit, std::size_t d) const { return std::exp(logit - most[d]) / sum[d]; }
};

template <class Real>
class HostVaeTerms : public VaeTerms<Real> {
 public:
  void draw(const BlockNoise<Real>& noise, const LatentRows<Real>& rows) override {
    const std::vector<Real> drawn = noise.values();
    std::copy(drawn.begin(), drawn.end(), rows.eps.begin());
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      const std::size_t at = shared(rows, i);
      rows.z0[i] =
          rows.mean[at] + std::sqrt(bounded_variance(rows.bounds, rows.raw[at])) * drawn[i];
    }
  }

  void divergence(const LatentRows<Real>& rows, std::span<const Real> zk,
                  std::span<const Real> log_det, std::span<Real> kl) override {
    for (std::size_t row = 0; row < kl.size(); ++row) {
      double sum = -double(log_det[row]);
      for (std::size_t i = row * rows.latent; i < (row + 1) * rows.latent; ++i) {
        const double z = zk[i], eps = rows.eps[i];
        const double variance = bounded_variance(rows.bounds, rows.raw[shared(rows, i)]);
        sum += 0.5 * (z * z - eps * eps - std::log(variance));
      }
      kl[row] = static_cast<Real>(sum);
    }
  }

  void seed_divergence(const ElboBar& bar, std::span<const Real> zk, std::span<Real> zk_bar,
                       std::span<Real> log_det_bar) override {
    const Real scale(bar.share * bar.beta);
    for (std::size_t i = 0; i < zk.size(); ++i) zk_bar[i] += scale * zk[i];
    std::fill(log_det_bar.begin(), log_det_bar.end(), -scale);
  }

  void pull_back_draw(const ElboBar& bar, const LatentRows<Real>& rows,
                      std::span<const Real> z0_bar, std::span<Real> mean_bar,
                      std::span<Real> raw_bar) override {
    const Real scale(bar.share * bar.beta);
    for (std::size_t i = 0; i < z0_bar.size(); ++i) {
      const Real variance = bounded_variance(rows.bounds, rows.raw[i]);
      // z0 = mean + √variance eps, and (z0 − mean)²/variance = eps² does not move.
      const Real variance_bar =
          Real(0.5) * (z0_bar[i] * rows.eps[i] / std::sqrt(variance) - scale / variance);
      mean_bar[i] = z0_bar[i];
      raw_bar[i] = variance_bar * variance_slope(rows.bounds, rows.raw[i]);
    }
  }

  void reconstruction(const PixelRows<Real>& rows, std::span<Real> reconstruction) override {
    for (std::size_t row = 0; row < reconstruction.size(); ++row)
      reconstruction[row] = static_cast<Real>(
          rows.likelihood == Likelihood::Bernoulli
              ? bernoulli(image(rows, row), logits(rows, row), logit_of(rows.clamp))
              : categorical(image(rows, row), logits(rows, row)));
  }

  void seed_reconstruction(double share, const PixelRows<Real>& rows,
                           std::span<Real> logits_bar) override {
    for (std::size_t row = 0; row < rows.batch(); ++row) {
      const std::span<const Real> x = image(rows, row), logit = logits(rows, row);
      const std::span<Real> bar = logits_bar.subspan(row * logit.size(), logit.size());
      if (rows.likelihood == Likelihood::Bernoulli) {
        for (std::size_t d = 0; d < x.size(); ++d)
          bar[d] = Real(share) * (logistic(logit[d]) - x[d]);
        continue;
      }
      const ClassSums<Real> sums(logit, x.size());
      for (std::size_t i = 0; i < bar.size(); ++i)
        bar[i] = Real(share) * sums.probability(logit[i], i % x.size());
      for (std::size_t d = 0; d < x.size(); ++d) bar[class_of(x[d]) * x.size() + d] -= Real(share);
    }
  }

  void variance(const VarianceBounds& bounds, std::span<const Real> raw,
                std::span<Real> variance) override {
    for (std::size_t i = 0; i < raw.size(); ++i) variance[i] = bounded_variance(bounds, raw[i]);
  }

  void mean_image(const PixelRows<Real>& rows, std::span<Real> mean) override {
    for (std::size_t row = 0; row < mean.size() / rows.size; ++row) {
      const std::span<const Real> logit = logits(rows, row);
      const std::span<Real> to = mean.subspan(row * rows.size, rows.size);
      if (rows.likelihood == Likelihood::Bernoulli) {
        for (std::size_t d = 0; d < to.size(); ++d) to[d] = logistic(logit[d]);
        continue;
      }
      const ClassSums<Real> sums(logit, to.size());
      std::fill(to.begin(), to.end(), Real(0));
      for (std::size_t i = 0; i < logit.size(); ++i)
        to[i % to.size()] +=
            Real(i / to.size()) / Real(kClasses - 1) * sums.probability(logit[i], i % to.size());
    }
  }

  void draw_image(const BlockNoise<Real>& noise, const PixelRows<Real>& rows,
                  std::span<Real> x) override {
    const std::vector<Real> uniform = noise.values();
    for (std::size_t row = 0; row < x.size() / rows.size; ++row) {
      const std::span<const Real> logit = logits(rows, row);
      const std::size_t first = row * rows.size;
      if (rows.likelihood == Likelihood::Bernoulli) {
        for (std::size_t d = 0; d < rows.size; ++d)
          x[first + d] = uniform[first + d] < logistic(logit[d]) ? Real(1) : Real(0);
        continue;
      }
      const ClassSums<Real> sums(logit, rows.size);
      for (std::size_t d = 0; d < rows.size; ++d) {
        Real left = uniform[first + d];
        std::size_t k = 0;
        for (; k < kClasses - 1; ++k)
          if ((left -= sums.probability(logit[k * rows.size + d], d)) < 0) break;
        x[first + d] = Real(k) / Real(kClasses - 1);
      }
    }
  }

  void binarize(const BlockNoise<Real>& noise, std::span<Real> x) override {
    const std::vector<Real> uniform = noise.values();
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = uniform[i] < x[i] ? Real(1) : Real(0);
  }

 private:
  /// Element `i` of (B, L) in what its image has, (B / copies, L).
  static std::size_t shared(const LatentRows<Real>& rows, std::size_t i) {
    return i / rows.latent / rows.copies * rows.latent + i % rows.latent;
  }
  static std::span<const Real> image(const PixelRows<Real>& rows, std::size_t row) {
    return rows.x.subspan(row / rows.copies * rows.size, rows.size);
  }
  static std::span<const Real> logits(const PixelRows<Real>& rows, std::size_t row) {
    const std::size_t count =
        rows.size * (rows.likelihood == Likelihood::Categorical ? kClasses : 1);
    return rows.logits.subspan(row * count, count);
  }
  /// The logit of the largest probability that a clamp leaves.
  static double logit_of(double clamp) {
    return clamp > 0 ? std::log1p(-clamp) - std::log(clamp)
                     : std::numeric_limits<double>::infinity();
  }

  /// −Σ x log p + (1 − x) log(1 − p), of the logit of p: nothing to clamp where p rounds to 0 or 1.
  static double bernoulli(std::span<const Real> x, std::span<const Real> logit, double most) {
    double sum = 0;
    for (std::size_t d = 0; d < x.size(); ++d) {
      const double l = std::clamp(double(logit[d]), -most, most);
      sum += std::max(l, 0.0) - l * double(x[d]) + std::log1p(std::exp(-std::abs(l)));
    }
    return sum;
  }
  static double categorical(std::span<const Real> x, std::span<const Real> logit) {
    const ClassSums<Real> sums(logit, x.size());
    double sum = 0;
    for (std::size_t d = 0; d < x.size(); ++d)
      sum += std::log(double(sums.sum[d])) + double(sums.most[d]) -
             double(logit[class_of(x[d]) * x.size() + d]);
    return sum;
  }
};

}  // namespace ffjord
