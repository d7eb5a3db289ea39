// The layers of a convolutional net as the kernels read them.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/flow_block.h"
#include "cpu/border_classes.h"
#include "cpu/convolution.h"
#include "cpu/convolution_gradient.h"
#include "cpu/net_gradient.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// A layer of the plan, z = g(t) ⊙ (W(t) a + b) + s t + r, s a number a channel and border class, r
/// what the planes of coordinates add. A second map is computed as W₀ a + (W₁ − W₀)(t a): its input
/// is (a, t a).
struct ConvolutionLayer : LayerPlan {
  const float* parameters = nullptr;  ///< flat buffer of the flow

  BorderClasses classes;           ///< of what t adds; one class unless t is a channel
  std::vector<float> coordinates;  ///< r, [pixel][channel]; empty but for concatcoord
  PackedConvolution forward, backward;
  ConvolutionGradient gradient;
  /// b and s of unit class · out + channel, as many b as s; a and q of the gates, up to whole
  /// vectors.
  std::vector<float> bias, shift, gate_weight, gate_bias;
  float beta = 1;
  int in_stored = 0, out_stored = 0;  ///< channels from pixel to pixel of the images on both sides

  ConvolutionLayer(const LayerPlan& plan, const float* all_parameters, ConvolutionMethod method)
      : LayerPlan(plan), parameters(all_parameters) {
    if (planes() > 0) classes = BorderClasses(map);
    const LinearMap expanded = map.with_channels_in(depth());
    forward = {expanded, PackedConvolution::Direction::Forward, method};
    backward = {expanded, PackedConvolution::Direction::Backward, method};
  }

  int units() const { return classes.count() * out(); }
  std::size_t sums_size() const { return gradient.size(); }
  /// Whether W̄ is summed before its transform (winograd.h), in `in_stored` and `out_stored`
  /// channels.
  bool transforms() const { return forward.transforms(); }
  std::size_t transformed_size() const {
    return transforms() ? forward.transformed().sums_size(in_stored, out_stored) : 0;
  }

  /// Where W[n, c, i, j] of the map without its planes stands from the beginning of its tensor; n
  /// counts channels of the narrow side, c of the wide.
  std::size_t place(int n, int c, int i, int j) const {
    (map.transposed() ? n : c) += first_input();
    return stored_place(n, c, i, j);
  }
  std::size_t plane_place(int plane, int channel, int i, int j) const {
    const int input = first_plane() + plane;
    return map.transposed() ? stored_place(input, channel, i, j)
                            : stored_place(channel, input, i, j);
  }

  void pack() {
    const float* w = parameters + offsets.weight;
    const float* w1 = expanded() ? parameters + offsets.weight1 : nullptr;
    const auto element = [&](int n, int c, int i, int j) {
      int& input = map.transposed() ? n : c;
      if (input < in()) return w[place(n, c, i, j)];
      input -= in();
      const std::size_t at = place(n, c, i, j);
      return w1[at] - w[at];
    };
    forward.pack(in_stored, element);
    backward.pack(out_stored, element);

    bias.resize(units());
    shift.assign(units(), 0.f);
    gate_weight.assign(round_up(out(), kLanes), 0.f);
    gate_bias.assign(round_up(out(), kLanes), 0.f);
    if (offsets.beta != kAbsent) beta = parameters[offsets.beta];
    if (gated()) {
      std::copy_n(parameters + offsets.gate_weight, out(), gate_weight.begin());
      std::copy_n(parameters + offsets.gate_bias, out(), gate_bias.begin());
    }
    for (int index = 0; index < classes.count(); ++index)
      for (int channel = 0; channel < out(); ++channel) {
        const std::size_t unit = std::size_t(index) * out() + channel;
        bias[unit] = parameters[offsets.bias + channel];
        if (shifted()) shift[unit] = parameters[offsets.shift + channel];
        if (expanded()) shift[unit] = parameters[offsets.bias1 + channel] - bias[unit];
        if (planes() > 0)
          classes.for_each_tap(
              index, [&](int i, int j) { shift[unit] += w[plane_place(0, channel, i, j)]; });
      }
    if (form.coordinates) set_coordinates(w);
  }

  /// Adds the sums before the transform to those of the taps.
  void gather_taps(LayerGradient& sums) const {
    forward.for_each_tap(sums.transformed.data(), in_stored, out_stored,
                         [&](int n, int c, int i, int j, float sum) {
                           sums.weight.values[gradient.place(n, c, i, j)] += sum;
                         });
  }

 private:
  std::size_t stored_place(int n, int c, int i, int j) const {
    const std::size_t wide = map.transposed() ? out() : in() + planes();
    return ((n * wide + c) * map.convolution.kernel.height + i) * map.convolution.kernel.width + j;
  }

  void set_coordinates(const float* w) {
    coordinates.clear();
    for (int y = 0; y < map.plane_out.height; ++y)
      for (int x = 0; x < map.plane_out.width; ++x)
        for (int channel = 0; channel < out(); ++channel) {
          float sum = 0;
          classes.for_each_tap_of(y, x, [&](int i, int j, int from_y, int from_x) {
            sum += w[plane_place(1, channel, i, j)] * float(from_y) +
                   w[plane_place(2, channel, i, j)] * float(from_x);
          });
          coordinates.push_back(sum);
        }
  }
};

/// What the images between the layers of a chain look like: after l layers, with the borders of the
/// maps that read their values (layer l) and their cotangents (layer l − 1).
inline std::vector<ImageLayout> image_layouts(std::span<const ConvolutionLayer> layers) {
  std::vector<ImageLayout> layouts;
  for (std::size_t l = 0; l <= layers.size(); ++l) {
    ImageLayout layout;
    if (l < layers.size()) {
      layout.plane = layers[l].map.plane_in;
      layout.channels = stored_channels(layers[l].depth());
      layout.margins.widen(layers[l].forward.margins());
    } else {
      layout.plane = layers[l - 1].map.plane_out;
      layout.channels = stored_channels(layers[l - 1].out());
    }
    if (l > 0) layout.margins.widen(layers[l - 1].backward.margins());
    if (l > 0 && layers[l - 1].transforms())  // which takes two by two pixels
      layout.margins.widen({0, 0, layout.plane.height % 2, layout.plane.width % 2});
    layouts.push_back(layout);
  }
  return layouts;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
