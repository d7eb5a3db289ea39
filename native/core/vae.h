// A variational autoencoder on one device: encoder → mean and variance → z0 → posterior flow →
// decoder → loss, as parts of one model with one parameter layout. An engine adds the device that
// makes the parts (FlowDevice) and is whole.
//
//   −log p(x) ≤ −ELBO = −log p(x | zk) + log q(z0 | x) − log |det ∂zk/∂z0| − log N(zk; 0, I)
//                     =  reconstruction + KL
#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "core/engine.h"
#include "core/vae_plan.h"

namespace ffjord {

/// Images and how they are looked at.
struct VaeRequest {
  std::size_t batch = 0;
  BatchShare share;       ///< of a batch that several processes share
  RowSource images;       ///< (B, D), in [0, 1]
  bool binarize = false;  ///< images are probabilities; every call draws their pixels
  Noise noise;            ///< of pixels, of z0, and of the posterior's CNF blocks
  Input eps;              ///< (B, L) in place of a draw, or empty
  Settings settings;      ///< of posteriors with dynamics
  std::stop_token stop;
};

/// What a call writes of every row; empty outputs are not wanted.
struct VaeOutput {
  Output reconstruction, kl, log_det;  ///< (B), nats
  Output mean, variance, z0, zk;       ///< (B, L)
};

struct ElboReport {
  double reconstruction = 0, kl = 0;  ///< means over the batch, nats
  SolveStatistics forward, backward;
};

struct LikelihoodOutput {
  Output log_likelihood;   ///< (B): log of the mean weight of an image's samples
  Output mean_log_weight;  ///< (B): mean of their logs, an ELBO; never above it
};

/// Not thread-safe: its owner queues calls.
class Vae {
 public:
  virtual ~Vae() = default;

  virtual const VaeDescription& description() const = 0;
  virtual const VaeLayout& layout() const = 0;

  virtual void read(Buffer buffer, const Output& values) const = 0;
  virtual void write(Buffer buffer, const Input& values) = 0;
  virtual void zero_gradients() = 0;
  /// As a flow's.
  virtual void sum_gradients(SharedSums& sums) = 0;
  virtual PendingNorm step(const OptimizerOptions& options) = 0;

  /// `images` (count, D).
  virtual std::unique_ptr<Rows> upload(std::size_t count, const Input& images) = 0;

  /// Both parts of −ELBO of every row, by one z0 a row.
  virtual ElboReport elbo(const VaeRequest& request, const VaeOutput& output) = 0;
  /// reconstruction + β KL, means over the batch, and its gradients, which are added up in the
  /// gradient buffer, cleared first where `clear`. Throws SolveFailure, also for a loss that is not
  /// finite; the gradients are zero then.
  virtual ElboReport loss(const VaeRequest& request, double beta, bool clear = true) = 0;

  /// Mean and variance (B, L) of q(z0 | x), and h (B, H).
  virtual void encode(const VaeRequest& request, const Output& mean, const Output& variance,
                      const Output& h) = 0;
  /// z (count, L) → means of p(x | z), (count, D), or with noise draws from it.
  virtual void decode(std::size_t count, const Input& z, const std::optional<Noise>& draws,
                      const Output& images) = 0;

  /// log p(x) of every row by importance sampling, log 1/S Σ_s exp(−reconstruction − KL), with
  /// `samples` S draws of z0. An image is encoded once. `clamp`: Bernoulli probabilities lie in
  /// [clamp, 1 − clamp], by which the published estimates were made (1e-5); 0: as they are.
  virtual SolveStatistics log_likelihood(const VaeRequest& request, std::size_t samples,
                                         double clamp, const LikelihoodOutput& output) = 0;
};

}  // namespace ffjord
