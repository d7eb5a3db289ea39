// Training an autoencoder: bursts on −ELBO, whose KL has a weight of its own in every iteration.
#pragma once

#include <span>
#include <vector>

#include "core/training.h"
#include "core/vae.h"

namespace ffjord {

/// What an autoencoder learns from, and how.
struct VaeTask {
  const Rows& images;
  bool binarize = false;          ///< images are probabilities
  std::span<const double> betas;  ///< one an iteration
};

/// `loss` is reconstruction + β KL.
struct VaeIteration : IterationRecord {
  double reconstruction = 0, kl = 0;  ///< means over the batch, nats
};

std::vector<VaeIteration> train(Vae& vae, const VaeTask& task, const Burst& burst);

}  // namespace ffjord
