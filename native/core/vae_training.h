// A burst of training iterations of an autoencoder, each a gathered batch, its loss and a step,
// until the burst's time is up. The caller chooses batches, learning rates, β and what to do
// between bursts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/vae.h"

namespace ffjord {

struct VaeBurstRequest {
  const Rows& images;
  bool binarize = false;                       ///< images are probabilities
  std::span<const std::uint32_t> indices;      ///< of all batches, one after the other
  std::span<const std::uint32_t> batch_sizes;  ///< one an iteration
  std::span<const double> learning_rates;      ///< one an iteration
  std::span<const double> betas;               ///< one an iteration
  Settings settings;
  OptimizerOptions optimizer;  ///< `step` and `learning_rate` are those of the first iteration
  std::uint64_t noise_seed = 0;
  std::uint32_t first_call = 0;  ///< noise call of the first iteration; one more an iteration
  double seconds = 0.05;         ///< start no iteration after so long
  bool skip_failures = false;    ///< a batch whose loss fails is counted, not thrown
  std::stop_token stop;
};

struct VaeIterationRecord {
  double loss = 0;                    ///< reconstruction + β KL
  double reconstruction = 0, kl = 0;  ///< means over the batch, nats
  double evaluations = 0, backward_evaluations = 0, accepted = 0, rejected = 0;
  double gradient_norm = 0, seconds = 0;
  bool skipped = false;
};

/// At least one iteration; a stop between iterations ends the burst early, without an error.
std::vector<VaeIterationRecord> train(Vae& vae, const VaeBurstRequest& request);

}  // namespace ffjord
