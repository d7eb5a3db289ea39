// W of a layer as a map of one sample: its geometry. Every engine computes by it; validation, the
// parameter layout, initialisation and counted costs ask it.
#pragma once

#include <cstddef>
#include <vector>

namespace ffjord {

/// Height and width of an image, or of a filter.
struct Plane {
  int height = 1, width = 1;

  constexpr std::size_t size() const { return static_cast<std::size_t>(height) * width; }
  constexpr bool operator==(const Plane&) const = default;
};

/// How a filter passes over a plane, which zeros continue. A transposed convolution goes from the
/// small plane to the large one; several large planes have the same small one, and
/// `output_padding` more rows and columns say which.
struct Convolution {
  Plane kernel;
  int stride = 1, padding = 0, output_padding = 0;
  bool transposed = false;

  constexpr Plane plane_out(Plane in) const {
    return {length_out(in.height, kernel.height), length_out(in.width, kernel.width)};
  }

 private:
  constexpr int length_out(int in, int taps) const {
    if (in == 0) return 0;
    if (transposed) return (in - 1) * stride - 2 * padding + taps + output_padding;
    const int spare = in + 2 * padding - taps;
    return spare < 0 ? 0 : spare / stride + 1;
  }
};

/// A dense matrix, or a convolution. Samples are (channels, height, width); dense ones have planes
/// of 1 × 1.
struct LinearMap {
  int channels_in = 1, channels_out = 1;
  bool is_dense = true;
  Convolution convolution;  ///< a dense map has that of one tap
  Plane plane_in, plane_out;

  static constexpr LinearMap dense(int in, int out) { return {in, out, true, {}, {}, {}}; }
  static constexpr LinearMap convolve(const Convolution& convolution, int in, int out,
                                      Plane plane) {
    return {in, out, false, convolution, plane, convolution.plane_out(plane)};
  }

  /// The same map for another number of input channels.
  constexpr LinearMap with_channels_in(int channels) const {
    LinearMap map = *this;
    map.channels_in = channels;
    return map;
  }

  constexpr bool transposed() const { return convolution.transposed; }
  constexpr std::size_t taps() const { return convolution.kernel.size(); }
  constexpr std::size_t size_in() const { return channels_in * plane_in.size(); }
  constexpr std::size_t size_out() const { return channels_out * plane_out.size(); }

  constexpr std::size_t weight_count() const {
    return static_cast<std::size_t>(channels_in) * channels_out * taps();
  }
  /// W as PyTorch stores it: (out, in), (out, in, height, width), or transposed (in, out, height,
  /// width).
  std::vector<std::size_t> weight_shape() const {
    std::vector<std::size_t> shape = {std::size_t(channels_out), std::size_t(channels_in)};
    if (transposed()) shape = {std::size_t(channels_in), std::size_t(channels_out)};
    if (!is_dense)
      shape.insert(shape.end(),
                   {std::size_t(convolution.kernel.height), std::size_t(convolution.kernel.width)});
    return shape;
  }
  /// PyTorch counts it over the second axis of the weights, where a transposed convolution has its
  /// outputs.
  constexpr double fan_in() const {
    return static_cast<double>(transposed() ? channels_out : channels_in) *
           static_cast<double>(taps());
  }
  /// Multiply-adds on one sample. The small plane of a convolution meets all taps.
  constexpr double multiply_adds() const {
    const Plane& small = transposed() ? plane_in : plane_out;
    return static_cast<double>(weight_count()) * static_cast<double>(small.size());
  }
};

}  // namespace ffjord
