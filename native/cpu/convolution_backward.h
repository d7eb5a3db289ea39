// Cotangents through a chain of convolutions in reverse: ConvolutionChain::pull.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/convolution_chain.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

using PullKernel = Vec (*)(const BackwardArguments&, int first, int last);

inline PullKernel pull_kernel(Activation activation, int tangents, bool gated) {
  return with_activation(activation, [&]<class A>(A) -> PullKernel {
    if (tangents == 0)
      return gated ? pull_back_rows<A, 0, true, true> : pull_back_rows<A, 0, false, true>;
    if (tangents == 1)
      return gated ? pull_back_rows<A, 1, true, true> : pull_back_rows<A, 1, false, true>;
    return gated ? pull_back_rows<A, kAnyTangents, true, true>
                 : pull_back_rows<A, kAnyTangents, false, true>;
  });
}

inline void ConvolutionChain::pull(const FieldPass& pass, const NetTime& time,
                                   const Panels& output_bar, const Panels& input_bar, bool adds,
                                   ChainMemory& memory, ChainScratch& scratch,
                                   ChainReverse* reverse) const {
  const int panels = pass.columns.panels();
  scratch.cotangents.resize(layers_.size() + 1);
  const auto cotangents = [&](int l) { return images(scratch.cotangents[l], l, panels); };
  load_images(output_bar, cotangents(count()), output_at_, panels);
  pull_activations(pass, time, count() - 1, memory, scratch, reverse, [&](auto pull_pixel) {
    const int channels = layers_.back().out();
    for_each_pixel(layouts_.back().plane, [&](int y, int x) { pull_pixel(y, x, 0, channels); });
  });
  for (int l = count() - 1; l >= 0; --l) {
    const ConvolutionLayer& layer = layers_[l];
    if (reverse) finish_layer(pass, time, l, memory, scratch, *reverse);
    const Images above = cotangents(l + 1), below = cotangents(l);
    reserve(scratch.products, layer.backward.scratch(layer.out_stored, layer.in_stored));
    float* const products = scratch.products.data();
    if (l == 0 || layer.expanded()) {
      convolve(layer.backward, above, below, panels, products, [](int, int, int, int) {});
      if (layer.expanded()) contract_input(pass, time, l, memory, scratch, reverse);
      if (l == 0) continue;
      pull_activations(pass, time, l - 1, memory, scratch, reverse, [&](auto pull_pixel) {
        const int channels = layers_[l - 1].out();
        for_each_pixel(below.layout.plane, [&](int y, int x) { pull_pixel(y, x, 0, channels); });
      });
    } else {
      pull_activations(pass, time, l - 1, memory, scratch, reverse, [&](auto pull_pixel) {
        convolve(layer.backward, above, below, panels, products, pull_pixel);
      });
    }
  }
  store_images(cotangents(0), input_bar, adds, input_at_, panels);
}

/// Pulls cotangents back through the activation and gate of layer l: of the pixels and channels for
/// which `behind` calls what it is given.
template <class Behind>
void ConvolutionChain::pull_activations(const FieldPass& pass, const NetTime& time, int l,
                                        ChainMemory& memory, ChainScratch& scratch,
                                        ChainReverse* reverse, Behind behind) const {
  const ConvolutionLayer& layer = layers_[l];
  const int panels = pass.columns.panels(), channels = layer.out();
  const int stride = pass.columns.strips * kLanes;
  scratch.row_sums.assign(std::size_t(layer.units()) * stride, 0.f);
  scratch.gate_sums.assign(std::size_t(channels) * stride, 0.f);
  const ImageLayout& layout = layouts_[l + 1];
  const float* activations = images(memory.outputs[l + 1], l + 1, panels).data;
  const float* preactivations = layer.keeps_preactivations()
                                    ? images(memory.preactivations[l + 1], l + 1, panels).data
                                    : nullptr;
  const float* slopes =
      layer.activation == Activation::Softplus ? memory.slopes[l + 1].data() : nullptr;
  float* const cotangents = images(scratch.cotangents[l + 1], l + 1, panels).data;
  const RowVectors shifts = of_pass(pass, time, time.layers[first_ + l].shift);
  BackwardArguments arguments{.above = {},
                              .rows = channels,
                              .columns = pass.columns,
                              .cotangents = {},
                              .gate = gates_of(pass, time, memory, l),
                              .shift = {},
                              .beta = layer.beta,
                              .gate_sums = scratch.gate_sums.data()};
  const bool coordinates = layer.form.coordinates && reverse && reverse->gradient;
  if (coordinates) {
    scratch.pixel_sums.resize(layout.plane.size() * round_up(channels, kLanes) * kLanes);
    reserve(scratch.pixel_terms, std::size_t(channels) * stride);
  }
  const PullKernel pull = pull_kernel(layer.activation, pass.columns.channels - 1, layer.gated());
  Vec beta_bar = {};
  behind([&](int y, int x, int first, int last) {
    const std::size_t at = layout.offset(y, x);
    const int index = layer.classes.of(y, x);
    arguments.cotangents = {cotangents + at, layout.panel_stride()};
    arguments.activations = activations + at;
    if (preactivations) arguments.preactivations = preactivations + at;
    if (slopes)
      arguments.slopes = slopes + (std::size_t(y) * layout.plane.width + x) * channels * stride;
    arguments.shift = of_class(shifts, index, channels);
    arguments.sums = scratch.row_sums.data() + std::size_t(index) * channels * stride;
    if (!coordinates) {
      beta_bar = beta_bar + pull(arguments, first, last);
      return;
    }
    float* const class_sums = std::exchange(arguments.sums, scratch.pixel_terms.data());
    std::fill(arguments.sums + first * stride, arguments.sums + last * stride, 0.f);
    beta_bar = beta_bar + pull(arguments, first, last);
    float* const pixel = scratch.pixel_sums.data() + (std::size_t(y) * layout.plane.width + x) *
                                                         round_up(channels, kLanes) * kLanes;
    for (int j = first; j < last; ++j) {
      Vec sum = {};
      for (int lane = 0; lane < stride; lane += kLanes) {
        const Vec of_strip = load(arguments.sums + j * stride + lane);
        add_to(class_sums + j * stride + lane, of_strip);
        sum = sum + of_strip;
      }
      store(pixel + std::size_t(j) * kLanes, sum);
    }
  });
  if (reverse && reverse->gradient)
    reverse->gradient->layers[first_ + l].beta += sum_of_lanes(beta_bar);
}

inline void ConvolutionChain::add_to_times(const FieldPass& pass, const NetTime& time, int strip,
                                           Vec t_bar, ChainReverse& reverse) const {
  if (!time.own) reverse.t_bar += sum_of_lanes(t_bar);
  for (int lane = 0; reverse.times_bar && lane < kLanes; ++lane)
    reverse.times_bar[pass.row(strip) + lane] += t_bar[lane];
}

/// Gradients of layer l once its cotangents and sums are complete, and t̄.
inline void ConvolutionChain::finish_layer(const FieldPass& pass, const NetTime& time, int l,
                                           ChainMemory& memory, ChainScratch& scratch,
                                           ChainReverse& reverse) const {
  const ConvolutionLayer& layer = layers_[l];
  const int stride = pass.columns.strips * kLanes;
  const bool shifts = layer.shifted() || layer.planes() > 0 || layer.expanded();
  const RowVectors gates = gates_of(pass, time, memory, l), times = times_of(pass, time);
  LayerGradient* const gradient =
      reverse.gradient ? &reverse.gradient->layers[first_ + l] : nullptr;
  const auto terms_bar = [&](int first_term, int j, int strip) {
    return reverse.terms_bar + std::size_t(first_term + j) * pass.rows + pass.row(strip);
  };
  const bool bars_bias = reverse.terms_bar && context_.moves_bias(first_ + l);
  for (int g = 0; g < pass.columns.strips; ++g) {
    const Vec t = times.at(0, g);
    Vec t_bar = {};
    for (int j = 0; j < layer.out(); ++j) {
      const Vec gate = layer.gated() ? gates.at(j, g) : splat(1.f);
      Vec sum = {};
      for (int index = 0; index < layer.classes.count(); ++index) {
        const std::size_t unit = std::size_t(index) * layer.out() + j;
        const Vec of_class = load(scratch.row_sums.data() + unit * stride + g * kLanes);
        sum = sum + of_class;
        if (!shifts) continue;
        t_bar = fma(splat(layer.shift[unit]), of_class, t_bar);
        if (gradient) gradient->shift[unit] += sum_of_lanes(t * of_class);
      }
      if (gradient) gradient->bias[j] += sum_of_lanes(gate * sum);
      if (bars_bias) {
        float* const to = terms_bar(context_.biases[first_ + l], j, g);
        store(to, fma(gate, sum, load(to)));
      }
      if (!layer.gated()) continue;
      const Vec logit_bar = (splat(1.f) - gate) *
                            load(scratch.gate_sums.data() + std::size_t(j) * stride + g * kLanes);
      t_bar = fma(splat(layer.gate_weight[j]), logit_bar, t_bar);
      if (gradient) {
        gradient->gate_weight[j] += sum_of_lanes(t * logit_bar);
        gradient->gate_bias[j] += sum_of_lanes(logit_bar);
      }
      if (reverse.terms_bar && moves_gates(l)) {
        float* const to = terms_bar(context_.gates[first_ + l], j, g);
        store(to, load(to) + logit_bar);
      }
    }
    add_to_times(pass, time, g, t_bar, reverse);
  }
  if (!gradient) return;
  if (layer.form.coordinates) pull_coordinates(l, scratch, *gradient);

  const int panels = pass.columns.panels();
  const Images input = images(memory.outputs[l], l, panels);
  const Images output_bar = images(scratch.cotangents[l + 1], l + 1, panels);
  if (layer.transforms()) {
    reserve(scratch.products,
            layer.forward.transformed().gradient_scratch(layer.in_stored, layer.out_stored));
    layer.forward.transformed().accumulate(input, output_bar, panels, gradient->transformed.data(),
                                           scratch.products.data());
    return;
  }
  reserve(scratch.products, layer.gradient.scratch());
  const bool transposed = layer.map.transposed();
  layer.gradient.accumulate(transposed ? input : output_bar, transposed ? output_bar : input,
                            panels, gradient->weight.values.data(), scratch.products.data());
}

/// concatcoord: W̄ of the planes of rows and columns, Σ z̄ y and Σ z̄ x over the pixels (y, x) that a
/// tap finds.
inline void ConvolutionChain::pull_coordinates(int l, const ChainScratch& scratch,
                                               LayerGradient& gradient) const {
  const ConvolutionLayer& layer = layers_[l];
  const int channels = layer.out(), padded = round_up(channels, kLanes);
  const Plane &plane = layer.map.plane_out, &kernel = layer.map.convolution.kernel;
  std::vector<float> sums(padded);
  for_each_pixel(plane, [&](int y, int x) {
    const std::size_t pixel = std::size_t(y) * plane.width + x;
    sums_of_lanes(scratch.pixel_sums.data() + pixel * padded * kLanes, channels, sums.data());
    layer.classes.for_each_tap_of(y, x, [&](int i, int j, int from_y, int from_x) {
      float* const rows =
          gradient.coordinates.data() + (std::size_t(i) * kernel.width + j) * channels;
      float* const columns = rows + kernel.size() * channels;
      for (int channel = 0; channel < channels; ++channel) {
        rows[channel] += float(from_y) * sums[channel];
        columns[channel] += float(from_x) * sums[channel];
      }
    });
  });
}

/// blend: the cotangents of (a, t a) become ā = first + t second; t̄ += a · second.
inline void ConvolutionChain::contract_input(const FieldPass& pass, const NetTime& time, int l,
                                             ChainMemory& memory, ChainScratch& scratch,
                                             ChainReverse* reverse) const {
  const int channels = layers_[l].in(), panels = pass.columns.panels();
  const Images input = images(memory.outputs[l], l, panels);
  const Images input_bar = images(scratch.cotangents[l], l, panels);
  const RowVectors times = times_of(pass, time);
  for (int n = 0; n < pass.columns.count(); ++n) {
    const int strip = n / pass.columns.channels;
    const Vec t = times.at(0, strip);
    Vec t_bar = {};
    for_each_pixel(input.layout.plane, [&](int y, int x) {
      const float* const a = input.pixel(y, x).column(n);
      float* const bar = input_bar.pixel(y, x).column(n);
      for (int c = 0; c < channels; ++c) {
        const std::size_t at = std::size_t(c) * kFeatureStride;
        const Vec second = load(bar + at + std::size_t(channels) * kFeatureStride);
        store(bar + at, fma(t, second, load(bar + at)));
        t_bar = fma(load(a + at), second, t_bar);
      }
    });
    if (reverse) add_to_times(pass, time, strip, t_bar, *reverse);
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
