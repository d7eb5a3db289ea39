// A net as the kernels read it: plain numbers, one Layer by value in each launch.
#pragma once

#include <cstddef>
#include <vector>

#include "core/block_plan.h"
#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

inline constexpr int kNoTerm = -1;

/// z = g(t) ⊙ (W(t) a + b(t)) + s t. blend is W₀ a + (W₁ − W₀)(t a): its input is (a, t a) and W
/// holds both matrices side by side, so that it needs nothing else of its own.
struct Layer {
  LayerKind kind = LayerKind::Ignore;
  Activation activation = Activation::Identity;  ///< after it; none after the last layer
  int in = 0, out = 0;
  int unit = 0;          ///< first of its units among those of all layers
  LayerOffsets offsets;  ///< within the block's own parameters
  /// First of the terms that a context adds to b, and to the logit of g (context_map.h).
  int bias_term = kNoTerm, gate_term = kNoTerm;
  std::size_t packed = 0;  ///< of W (depth, out) and Wᵀ (expanded out, in) among the packed weights

  __host__ __device__ bool expanded() const { return kind == LayerKind::Blend; }
  __host__ __device__ bool hyper() const { return kind == LayerKind::Hyper; }
  __host__ __device__ bool gated() const {
    return kind == LayerKind::Squash || kind == LayerKind::ConcatSquash;
  }
  __host__ __device__ bool shifted() const {
    return kind == LayerKind::ConcatV2 || kind == LayerKind::ConcatSquash;
  }
  __host__ __device__ int depth() const { return expanded() ? 2 * in : in; }
  __host__ __device__ std::size_t weights() const { return std::size_t(depth()) * out; }
  /// w of s(t) = w t.
  __device__ float shift_weight(const float* parameters, int j) const {
    if (shifted()) return parameters[offsets.shift + j];
    if (kind == LayerKind::Concat)
      return parameters[offsets.weight + std::size_t(j) * weight_stride()];
    return expanded() ? parameters[offsets.bias1 + j] - parameters[offsets.bias + j] : 0.f;
  }
  /// Whether z and u are kept for the pullback.
  __host__ __device__ bool keeps_preactivations() const {
    return gated() || activation == Activation::Square || activation == Activation::Swish;
  }

  /// W(out, in) in PyTorch's layout, without the time column of concat.
  __host__ __device__ std::size_t weight_offset() const {
    return offsets.weight + (kind == LayerKind::Concat ? 1 : 0);
  }
  __host__ __device__ int weight_stride() const { return in + (kind == LayerKind::Concat ? 1 : 0); }
};

/// Offsets count from the block's first parameter.
std::vector<Layer> make_layers(const BlockContext<float>& context);

}  // namespace ffjord::cuda
