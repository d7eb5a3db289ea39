// Seeds of the pullback of a bottleneck's divergence ε·(∂h/∂z)v (core/trace_plan.h).
#pragma once

#include "cuda/device/stream.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// value_bar (B, width) ← 0, and tangent_bar (K, B, width) ← div̄ ε_k / K.
struct BottleneckSeeds {
  Groups groups;
  int batch = 0, width = 0, probes = 0;
  int bar_stride = 0;
  const float* divergence_bar = nullptr;  ///< (B), `bar_stride` apart; null: zero
  const float* eps = nullptr;             ///< (K, B, width)
  float *value_bar = nullptr, *tangent_bar = nullptr;
};
void write_bottleneck_seeds(const BottleneckSeeds& arguments, const Stream& stream);

}  // namespace ffjord::cuda
