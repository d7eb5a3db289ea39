// f and its divergence at given states, and their pullback; one t for all rows, or one a row.
#pragma once

#include <span>

#include "cpu/block_call.h"

namespace ffjord::cpu {

/// Rows at which a block is evaluated.
struct VelocityCall {
  const TileNet& net;
  Workspace& workspace;
  Team& team;
  Tiles tiles;
  std::size_t dimension;
  std::span<const double> times;  ///< one, or one a row
  std::span<const float> z, eps;  ///< (B, D), (K, B, D)
};

/// As ContinuousBlock::velocity.
void evaluate_velocity(const VelocityCall& call, std::span<float> f, std::span<float> divergence);

/// As ContinuousBlock::velocity_pullback.
void pull_velocity(const VelocityCall& call, std::size_t weights, std::span<const float> f_bar,
                   std::span<const float> divergence_bar, std::span<float> z_bar,
                   std::span<float> gradients, std::span<double> times_bar);

}  // namespace ffjord::cpu
