// t̄ of blend: Σ_k a_k ((W₁ − W₀)ᵀ z̄)_k and the same of the tangents, row by row.
#pragma once

#include "cuda/net/layer_forward.h"

namespace ffjord::cuda {

struct BlendTimes {
  Groups groups;
  int batch = 0, in = 0, tangents = 0;
  const float* second = nullptr;  ///< (1 + K, B, in): (W₁ − W₀)ᵀ of the cotangents
  LayerInput input;
  float* time_bars = nullptr;  ///< (B)
};
void write_blend_times(const BlendTimes& arguments, const Stream& stream);

}  // namespace ffjord::cuda
