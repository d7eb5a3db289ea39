// A layer of a feed-forward net as the kernels read it: one convolution, whatever the layer is,
// that of a gated pair with twice the outputs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "core/feed_forward_plan.h"
#include "cpu/convolution.h"
#include "cpu/convolution_gradient.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// An image's size.
struct ImageShape {
  int channels = 1;
  Plane plane;
  bool operator==(const ImageShape&) const = default;
  std::size_t size() const { return std::size_t(channels) * plane.size(); }
};

/// Units are the outputs of the products: channels, or of a gated pair z and g of a channel side by
/// side, so that a block of a product's rows holds both.
class ImageLayer {
 public:
  /// `before` is the shape of what the layer in front wrote.
  ImageLayer(const FeedForwardLayer& plan, const ImageShape& before)
      : plan_(plan), map_(as_convolution(plan.map, before)) {
    LinearMap units = map_;
    units.channels_out *= plan.maps();
    forward_ = {units, PackedConvolution::Direction::Forward, ConvolutionMethod::Coarse};
    backward_ = {units, PackedConvolution::Direction::Backward, ConvolutionMethod::Coarse};
    const int in = in_stored(), out = units_stored();
    gradient_ = {units, map_.transposed() ? in : out, map_.transposed() ? out : in};
    set_offsets();
  }

  const FeedForwardLayer& plan() const { return plan_; }
  const PackedConvolution& forward() const { return forward_; }
  const PackedConvolution& backward() const { return backward_; }
  const std::vector<float>& bias() const { return bias_; }  ///< of units
  /// The border of zeros around the image of the bars of its units.
  Margins bar_margins() const {
    Margins margins = backward_.margins();
    if (forward_.transforms())  // which takes two by two pixels
      margins.widen({0, 0, map_.plane_out.height % 2, map_.plane_out.width % 2});
    return margins;
  }

  bool gated() const { return plan_.gated; }
  bool transposed() const { return map_.transposed(); }
  int channels() const { return map_.channels_out; }
  int units() const { return map_.channels_out * plan_.maps(); }
  ImageShape in() const { return {map_.channels_in, map_.plane_in}; }
  ImageShape out() const { return {map_.channels_out, map_.plane_out}; }

  /// Floats that products need beside.
  std::size_t forward_scratch() const { return forward_.scratch(in_stored(), units_stored()); }
  std::size_t backward_scratch() const { return backward_.scratch(units_stored(), in_stored()); }
  std::size_t gradient_scratch() const {
    return forward_.transforms()
               ? forward_.transformed().gradient_scratch(in_stored(), units_stored())
               : gradient_.scratch();
  }
  std::size_t sums_size() const {
    return forward_.transforms() ? forward_.transformed().sums_size(in_stored(), units_stored())
                                 : gradient_.size();
  }

  /// Adds what the first `rows` of a panel add to W̄.
  void accumulate(const Images& in, const Images& bars, int rows, float* sums,
                  float* scratch) const {
    if (forward_.transforms())
      forward_.transformed().accumulate(in, bars, 1, sums, scratch, rows);
    else
      gradient_.accumulate(transposed() ? in : bars, transposed() ? bars : in, 1, sums, scratch,
                           rows);
  }

  void pack_transposed(std::span<const float> parameters) {
    backward_.pack(units_stored(),
                   [&](int n, int c, int i, int j) { return parameters[offset_of(n, c, i, j)]; });
  }
  void pack(std::span<const float> parameters) {
    forward_.pack(in_stored(),
                  [&](int n, int c, int i, int j) { return parameters[offset_of(n, c, i, j)]; });
    bias_.resize(units());
    for (int unit = 0; unit < units(); ++unit)
      bias_[unit] = parameters[(is_gate(unit) ? plan_.gate_bias : plan_.bias) + channel(unit)];
  }

  /// Adds W̄ and b̄, as sums of units.
  void add_gradients(const float* weights, const float* biases, std::span<float> gradients) const {
    const auto add = [&](int n, int c, int i, int j, float sum) {
      gradients[offset_of(n, c, i, j)] += sum;
    };
    if (forward_.transforms())
      forward_.for_each_tap(weights, in_stored(), units_stored(), add);
    else
      add_taps(weights, add);
    for (int unit = 0; unit < units(); ++unit)
      gradients[(is_gate(unit) ? plan_.gate_bias : plan_.bias) + channel(unit)] += biases[unit];
  }

 private:
  int in_stored() const { return stored_channels(map_.channels_in); }
  int units_stored() const { return stored_channels(units()); }

  template <class Add>
  void add_taps(const float* weights, Add add) const {
    const int narrow = transposed() ? map_.channels_in : units();
    const int wide = transposed() ? units() : map_.channels_in;
    const Plane& kernel = map_.convolution.kernel;
    // Blocks of outputs, whose sums lie side by side of a tap and whose weights a row apart.
    for (int first = 0; first < narrow; first += kLanes)
      for (int c = 0; c < wide; ++c)
        for (int i = 0; i < kernel.height; ++i)
          for (int j = 0; j < kernel.width; ++j)
            for (int n = first; n < std::min(first + kLanes, narrow); ++n)
              add(n, c, i, j, weights[gradient_.place(n, c, i, j)]);
  }

  /// A dense layer reads an image as a filter of its size: W (out, in) is (out, c, h, w) in memory.
  static LinearMap as_convolution(const LinearMap& map, const ImageShape& before) {
    if (!map.is_dense) return map;
    return LinearMap::convolve({.kernel = before.plane}, before.channels, map.channels_out,
                               before.plane);
  }

  bool is_gate(int unit) const { return gated() && unit % 2 == 1; }
  int channel(int unit) const { return gated() ? unit / 2 : unit; }

  /// Where W[n, c, i, j] stands among the parameters; n counts channels of the narrow side and c of
  /// the wide, those of the outputs as units.
  std::size_t offset_of(int n, int c, int i, int j) const {
    return narrow_offsets_[n] + wide_offsets_[c] + i * map_.convolution.kernel.width + j;
  }

  void set_offsets() {
    const std::size_t taps = map_.convolution.kernel.size();
    const std::size_t wide = transposed() ? map_.channels_out : map_.channels_in;
    const std::size_t row = wide * taps;  // of a channel of the narrow side
    std::vector<std::size_t>& in = transposed() ? narrow_offsets_ : wide_offsets_;
    std::vector<std::size_t>& out = transposed() ? wide_offsets_ : narrow_offsets_;
    for (int channel = 0; channel < map_.channels_in; ++channel)
      in.push_back(channel * (transposed() ? row : taps));
    for (int unit = 0; unit < units(); ++unit)
      out.push_back((is_gate(unit) ? plan_.gate_weight : plan_.weight) +
                    channel(unit) * (transposed() ? taps : row));
  }

  FeedForwardLayer plan_;
  LinearMap map_;
  PackedConvolution forward_, backward_;
  ConvolutionGradient gradient_;
  std::vector<std::size_t> narrow_offsets_, wide_offsets_;
  std::vector<float> bias_;
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
