// W of a layer as a linear map of one sample: a product, its transpose and its weight gradient.
#pragma once

#include <vector>

#include "reference/vectors.h"

namespace ffjord::reference {

/// Dense, or a convolution with zero padding 1: 3×3 of stride 1, 4×4 of stride 2, or the transpose
/// of the latter. Weights are laid out as PyTorch's: dense (out, in), convolution (out, in, k, k),
/// transposed (in, out, k, k). Samples are (channels, height, width); dense ones have 1×1 planes.
class LinearMap {
 public:
  static LinearMap dense(int in, int out);
  /// `stride` is 1, 2 or −2; shapes are (channels, height, width).
  static LinearMap convolution(int stride, const std::vector<int>& in, const std::vector<int>& out);

  /// The same map for another number of input channels.
  LinearMap with_channels_in(int channels) const;

  int channels_in() const { return transposed() ? narrow_channels_ : wide_channels_; }
  int channels_out() const { return transposed() ? wide_channels_ : narrow_channels_; }
  std::size_t plane_in() const { return transposed() ? narrow_plane() : wide_plane(); }
  std::size_t plane_out() const { return transposed() ? wide_plane() : narrow_plane(); }
  std::size_t size_in() const { return channels_in() * plane_in(); }
  std::size_t size_out() const { return channels_out() * plane_out(); }
  std::size_t weight_count() const {
    return static_cast<std::size_t>(narrow_channels_) * wide_channels_ * kernel_ * kernel_;
  }
  bool transposed() const { return stride_ < 0; }
  std::size_t taps() const { return static_cast<std::size_t>(kernel_) * kernel_; }

  void apply(View weight, View a, Target y) const;                   ///< y = W a
  void apply_transpose(View weight, View y, Target a) const;         ///< a = Wᵀ y
  void add_weight_gradient(View y_bar, View a, Target w_bar) const;  ///< W̄ += ȳ aᵀ

 private:
  LinearMap() = default;

  // A convolution reads its wide side and writes its narrow one; a transposed one the other way
  // round. Weights are (narrow, wide, k, k) in both.
  std::size_t narrow_plane() const {
    return static_cast<std::size_t>(narrow_height_) * narrow_width_;
  }
  std::size_t wide_plane() const { return static_cast<std::size_t>(wide_height_) * wide_width_; }
  bool is_dense() const { return kernel_ == 1; }

  /// Calls visit(weight index, narrow index, wide index) for every product of the convolution.
  template <class Visit>
  void for_each_tap(Visit visit) const;
  void narrow_from_wide(View weight, View wide, Target narrow) const;
  void wide_from_narrow(View weight, View narrow, Target wide) const;

  int kernel_ = 1, stride_ = 1;
  int narrow_channels_ = 1, narrow_height_ = 1, narrow_width_ = 1;
  int wide_channels_ = 1, wide_height_ = 1, wide_width_ = 1;
};

}  // namespace ffjord::reference
