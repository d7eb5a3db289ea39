// A burst of training iterations, each a gathered batch, its loss and a step, until the burst's
// time is up. The
// caller (fit) chooses batches, learning rates and what to do between bursts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/engine.h"
#include "core/flow_matching.h"
#include "core/objectives.h"

namespace ffjord {

enum class Objective { MaximumLikelihood, FlowMatching };

struct BurstRequest {
  Objective objective = Objective::MaximumLikelihood;
  Coupling coupling = Coupling::Independent;  ///< of flow matching
  int parts = 1;  ///< a batch is solved in so many, one after the other, before a step
  const Rows& rows;
  const Rows* contexts = nullptr;              ///< of the rows, of a conditional flow
  std::span<const std::uint32_t> indices;      ///< of all batches, one after the other
  std::span<const std::uint32_t> batch_sizes;  ///< one an iteration
  std::span<const std::uint32_t> visits;       ///< of images, one an iteration: epochs
  std::span<const double> learning_rates;      ///< one an iteration
  Settings settings;
  RegulariserWeights weights;
  OptimizerOptions optimizer;  ///< `step` and `learning_rate` are those of the first iteration
  std::uint64_t noise_seed = 0;
  std::uint32_t first_call = 0;  ///< noise call of the first iteration; one more an iteration
  double seconds = 0.05;         ///< start no iteration after so long
  bool skip_failures = false;    ///< a batch whose solve fails is counted, not thrown
  std::stop_token stop;
};

/// Under FlowMatching `loss` is its own, and `negative_log_prob` NaN.
struct IterationRecord {
  double loss = 0, negative_log_prob = 0;
  std::vector<double> regularisers, block_evaluations;  ///< as LossReport's
  double evaluations = 0, backward_evaluations = 0, accepted = 0, rejected = 0;
  double gradient_norm = 0, seconds = 0;
  bool skipped = false;
};

/// At least one iteration; a stop between iterations ends the burst early, without an error.
std::vector<IterationRecord> train(Flow& flow, const BurstRequest& request);

}  // namespace ffjord
