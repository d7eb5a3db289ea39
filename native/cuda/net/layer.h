// A net as the kernels read it: plain numbers, one Layer by value in each launch.
#pragma once

#include <cstddef>
#include <vector>

#include "core/net_plan.h"
#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

inline constexpr int kNoTerm = -1;

/// A layer of the plan, with offsets within the block's own parameters, and where its numbers stand
/// among those of all layers.
struct Layer : LayerPlan {
  int unit = 0;  ///< first of its units
  /// First of the terms that a context adds to b, and to the logit of g (context_map.h).
  int bias_term = kNoTerm, gate_term = kNoTerm;
  std::size_t packed = 0;  ///< of W (depth, out) and Wᵀ (expanded out, in) among the packed weights

  __host__ __device__ std::size_t weights() const { return std::size_t(depth()) * out(); }
};

std::vector<Layer> make_layers(const NetPlan& net);

}  // namespace ffjord::cuda
