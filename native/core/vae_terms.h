// The loss of a variational autoencoder, element by element, between its nets and its posterior: z0
// out of the encoder's numbers, the two parts of −ELBO of every row, and their cotangents. A device
// computes them where the rows lie; FlowDevice::make_vae_terms.
#pragma once

#include <cstddef>
#include <span>

#include "core/block_noise.h"
#include "core/vae_plan.h"

namespace ffjord {

/// Rows of z0. `copies` rows that follow each other share an image. All spans in the device's
/// memory.
template <class Real>
struct LatentRows {
  std::size_t copies = 1, latent = 0;
  VarianceBounds bounds;
  std::span<const Real> mean, raw;  ///< (B / copies, L): variance = softplus(raw), within bounds
  std::span<Real> eps, z0;          ///< (B, L); z0 = mean + √variance ⊙ eps

  std::size_t batch() const { return z0.size() / latent; }
};

/// What a batch's mean loss, share · Σ_rows (reconstruction + β KL), is made of.
struct ElboBar {
  double share = 0;  ///< of a row: 1/B of the whole batch
  double beta = 1;
};

/// Rows of images and what the decoder says of them.
template <class Real>
struct PixelRows {
  Likelihood likelihood = Likelihood::Bernoulli;
  std::size_t copies = 1, size = 0;  ///< D
  double clamp = 0;                  ///< probabilities of Bernoulli lie in [clamp, 1 − clamp]
  std::span<const Real> x;           ///< (B / copies, D)
  std::span<const Real> logits;      ///< (B, D), or (B, 256, D)

  std::size_t batch() const { return x.size() / size * copies; }
};

template <class Real>
class VaeTerms {
 public:
  virtual ~VaeTerms() = default;

  /// Draws eps (or takes what is given with the noise) and writes z0.
  virtual void draw(const BlockNoise<Real>& noise, const LatentRows<Real>& rows) = 0;

  /// kl (B) ← log q(z0 | x) − log |det ∂zk/∂z0| − log N(zk; 0, I), nats:
  /// Σ −½(log variance + eps²) + Σ ½ zk² − log_det.
  virtual void divergence(const LatentRows<Real>& rows, std::span<const Real> zk,
                          std::span<const Real> log_det, std::span<Real> kl) = 0;
  /// z̄k (B, L) += share β zk, log_det_bar (B) ← −share β
  virtual void seed_divergence(const ElboBar& bar, std::span<const Real> zk, std::span<Real> zk_bar,
                               std::span<Real> log_det_bar) = 0;
  /// z̄0 (B, L) → mean_bar and raw_bar (B, L), written, with what KL adds to the variance's. With
  /// one copy only. The slope of a bound is 0 outside of the bounds.
  virtual void pull_back_draw(const ElboBar& bar, const LatentRows<Real>& rows,
                              std::span<const Real> z0_bar, std::span<Real> mean_bar,
                              std::span<Real> raw_bar) = 0;

  /// reconstruction (B) ← −log p(x | z), nats
  virtual void reconstruction(const PixelRows<Real>& rows, std::span<Real> reconstruction) = 0;
  /// logits_bar ← share · ∂ reconstruction / ∂ logits
  virtual void seed_reconstruction(double share, const PixelRows<Real>& rows,
                                   std::span<Real> logits_bar) = 0;

  /// The encoder's variance (B, L) of `raw`.
  virtual void variance(const VarianceBounds& bounds, std::span<const Real> raw,
                        std::span<Real> variance) = 0;
  /// Mean of x under p(x | z), (B, D); of classes k that of k/255.
  virtual void mean_image(const PixelRows<Real>& rows, std::span<Real> mean) = 0;
  /// A draw from p(x | z) in its place, with uniform noise (B, D).
  virtual void draw_image(const BlockNoise<Real>& noise, const PixelRows<Real>& rows,
                          std::span<Real> x) = 0;
  /// x, probabilities, ← 1 where uniform noise (B, D) lies below them, else 0.
  virtual void binarize(const BlockNoise<Real>& noise, std::span<Real> x) = 0;
};

}  // namespace ffjord
