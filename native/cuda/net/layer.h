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
  int number = 0;
  int unit = 0;  ///< first of its units
  /// First of the terms that a context adds to b, and to the logit of g (context_map.h).
  int bias_term = kNoTerm, gate_term = kNoTerm;
  std::size_t packed = 0;  ///< of W (depth, out) and Wᵀ (expanded out, in) among the packed weights
  std::size_t plane = 0;  ///< of what its planes add (planes.h), among those of all layers

  __host__ __device__ int taps() const { return static_cast<int>(map.taps()); }
  /// Of a product: over the taps of a convolution, and over both maps of a blend.
  __host__ __device__ int depth() const { return taps() * LayerPlan::depth(); }
  __host__ __device__ int in_pixels() const { return static_cast<int>(map.plane_in.size()); }
  __host__ __device__ int pixels() const { return static_cast<int>(map.plane_out.size()); }
  __host__ __device__ std::size_t weights() const { return std::size_t(depth()) * out(); }
  /// Whether what t adds differs from pixel to pixel, as the border of zeros cuts its plane.
  __host__ __device__ bool has_planes() const { return planes() > 0 && !map.is_dense; }
  /// Where W of a channel that is stored stands, from the first of that tensor on.
  __host__ __device__ std::size_t weight_place(int unit, int channel, int tap) const {
    const int stored = in() + planes();
    const std::size_t pair = map.transposed() ? std::size_t(channel) * out() + unit
                                              : std::size_t(unit) * stored + channel;
    return pair * taps() + tap;
  }
  /// w of s(t) = w t, where that is the same for all pixels.
  __host__ __device__ float shift_weight(const float* parameters, std::size_t unit) const {
    return has_planes() ? 0.f : LayerPlan::shift_weight(parameters, unit);
  }
};

std::vector<Layer> make_layers(const NetPlan& net);

}  // namespace ffjord::cuda
