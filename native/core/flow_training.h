// Training a flow: bursts of maximum likelihood or flow matching.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/flow_matching.h"
#include "core/objectives.h"
#include "core/training.h"

namespace ffjord {

enum class Objective { MaximumLikelihood, FlowMatching };

/// What a flow learns from, and how.
struct FlowTask {
  Objective objective = Objective::MaximumLikelihood;
  Coupling coupling = Coupling::Independent;  ///< of flow matching
  /// A batch is solved in so many, one after the other, before a step; in more where memory does
  /// not hold one.
  std::size_t parts = 1;
  const Rows& rows;
  const Rows* contexts = nullptr;         ///< of the rows, of a conditional flow
  std::span<const std::uint32_t> visits;  ///< of images, one an iteration: epochs
  RegulariserWeights weights;
};

/// Under FlowMatching `loss` is its own, and `negative_log_prob` NaN.
struct FlowIteration : IterationRecord {
  double negative_log_prob = 0;
  std::size_t parts = 1;                                ///< in which the batch was solved
  std::vector<double> regularisers, block_evaluations;  ///< as LossReport's
};

std::vector<FlowIteration> train(Flow& flow, const FlowTask& task, const Burst& burst);

}  // namespace ffjord
