// f and its divergence at given states, and their pullback; one t for all rows, or one for each
// row.
#pragma once

#include <span>

#include "cuda/block/workspace.h"

namespace ffjord::cuda {

/// Rows at which a block is evaluated.
struct VelocityCall {
  const DeviceNet& net;
  Workspace& workspace;
  const Stream& stream;
  TracePlan trace;
  std::span<const double> times;  ///< one, or one for each row
  std::size_t batch = 0;
  const BlockNoise<float>& noise;
  const float* terms = nullptr;  ///< as BlockCall's
  float* terms_bar = nullptr;
};

/// Does what ContinuousBlock::evaluate does; `z` (B, D) on the host.
void evaluate_velocity(const VelocityCall& call, std::span<const float> z, std::span<float> f,
                       std::span<float> divergence);

/// Does what ContinuousBlock::pull_point does; `gradient`: of the block, on the device; null: not
/// wanted.
void pull_velocity(const VelocityCall& call, std::span<const float> z, std::span<const float> f_bar,
                   std::span<const float> divergence_bar, std::span<float> z_bar, float* gradient,
                   std::span<double> times_bar);

/// Does what ContinuousBlock::regress_point does: the evaluation whose losses count is the one that
/// is pulled back.
void regress_velocity(const VelocityCall& call, std::span<const float> z,
                      const VelocityTarget& target, float* gradient);

}  // namespace ffjord::cuda
