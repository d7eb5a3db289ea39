// f and its divergence at given states, and their pullback; one t for all rows, or one a row.
#pragma once

#include <span>

#include "core/engine.h"
#include "cpu/block_call.h"

namespace ffjord::cpu {

struct VelocityCall {
  const TileNet& net;
  Workspace& workspace;
  Team& team;
  Tiles tiles;
  std::size_t dimension;
  const BlockPoint<float>& point;
};

/// As ContinuousBlock::evaluate.
void evaluate_velocity(const VelocityCall& call, std::span<float> f, std::span<float> divergence);

/// As ContinuousBlock::pull_point; `weights` is their number in the block.
void pull_velocity(const VelocityCall& call, std::size_t weights,
                   const PointCotangents<float>& cotangents);

/// As ContinuousBlock::regress_point.
void regress_velocity(const VelocityCall& call, std::size_t weights, const VelocityTarget& target,
                      std::span<float> gradients);

}  // namespace ffjord::cpu
