// The pullback of hypernets: cotangents of W(t) and b(t) chained to the net that made them.
#pragma once

#include "cuda/net/net_time.h"

namespace ffjord::cuda {

struct HypernetPullback {
  NetArrays net;
  Layer layer;
  Groups groups;
  int batch = 0;
  const float* time = nullptr;    ///< [groups]
  const float* slices = nullptr;  ///< [slices][out][in] of P = Σ z̄ aᵀ + ū ȧᵀ
  int slices_a_group = 1;
  const float* value_sums = nullptr;  ///< [row tiles][units]: Σ z̄
  int tiles_a_group = 1;
  float* scratch = nullptr;    ///< hypernet_scratch floats
  float* time_bars = nullptr;  ///< (B): t̄, at the first row of each group; null: not wanted
  float* gradient = nullptr;   ///< null: not wanted
};

std::size_t hypernet_scratch(const Layer& layer, int groups);

void pull_hypernet(const HypernetPullback& arguments, const Stream& stream);

}  // namespace ffjord::cuda
