// Seeds of the pullback of Σ_k ε_k · Jε_k, which rows have beside their values.
#pragma once

#include "cuda/device/stream.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// value_bar (B, width) ← 0, and tangent_bar (K, B, width) ← weight · div̄ ε_k.
struct ProbeSeeds {
  Groups groups;
  int batch = 0, width = 0, probes = 0;
  float weight = 1;
  int bar_stride = 0;
  const float* divergence_bar = nullptr;  ///< (B), `bar_stride` apart; null: zero
  const float* eps = nullptr;             ///< (K, B, width)
  float *value_bar = nullptr, *tangent_bar = nullptr;
};
void seed_probes(const ProbeSeeds& arguments, const Stream& stream);

}  // namespace ffjord::cuda
