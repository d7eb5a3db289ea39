// The pass of values and tangents through a chain of convolutions: ConvolutionChain::run.
#pragma once

#include <algorithm>

#include "cpu/convolution_chain.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

using ActivateKernel = void (*)(const ForwardArguments&, int first, int last);

template <class A, int Tangents>
ActivateKernel activate_kernel(bool gated, bool keeps) {
  if (keeps) return activate_rows<A, Tangents, true, true>;
  return gated ? activate_rows<A, Tangents, true, false> : activate_rows<A, Tangents, false, false>;
}

inline ActivateKernel activate_kernel(Activation activation, int tangents, bool gated, bool keeps) {
  return with_activation(activation, [&]<class A>(A) {
    if (tangents == 0) return activate_kernel<A, 0>(gated, keeps);
    if (tangents == 1) return activate_kernel<A, 1>(gated, keeps);
    return activate_kernel<A, kAnyTangents>(gated, keeps);
  });
}

inline void ConvolutionChain::run(const FieldPass& pass, const NetTime& time, const float* terms,
                                  const Panels& input, const Panels& output, bool adds,
                                  ChainMemory& memory, ChainScratch& scratch, bool keep) const {
  const std::size_t entries = layers_.size() + 1;
  for (auto* arrays : {&memory.outputs, &memory.preactivations, &memory.slopes, &memory.row_gates,
                       &memory.row_offsets})
    arrays->resize(entries);
  const int panels = pass.columns.panels();
  load_images(input, images(memory.outputs[0], 0, panels), input_at_, panels);
  for (int l = 0; l < count(); ++l) {
    if (moves(l)) set_row_terms(pass, time, l, terms, memory);
    run_layer(pass, time, l, memory, scratch, keep);
  }
  store_images(images(memory.outputs[count()], count(), panels), output, adds, output_at_, panels);
}

inline void ConvolutionChain::run_layer(const FieldPass& pass, const NetTime& time, int l,
                                        ChainMemory& memory, ChainScratch& scratch,
                                        bool keep) const {
  const ConvolutionLayer& layer = layers_[l];
  const int panels = pass.columns.panels(), channels = layer.out();
  const Images in = images(memory.outputs[l], l, panels);
  const Images out = images(memory.outputs[l + 1], l + 1, panels);
  if (layer.expanded()) expand_input(pass, time, l, in);

  ForwardArguments arguments{.matrix = nullptr,
                             .rows = channels,
                             .columns = pass.columns,
                             .in = {},
                             .out = {},
                             .gate = gates_of(pass, time, memory, l),
                             .offset = {},
                             .beta = layer.beta};
  float *preactivations = nullptr, *slopes = nullptr;
  if (keep && layer.keeps_preactivations())
    preactivations = images(memory.preactivations[l + 1], l + 1, panels).data;
  const std::size_t pixel_slopes = std::size_t(channels) * pass.columns.strips * kLanes;
  if (keep && layer.activation == Activation::Softplus) {
    reserve(memory.slopes[l + 1], pixel_slopes * layer.map.plane_out.size());
    slopes = memory.slopes[l + 1].data();
  }
  const ActivateKernel activate = activate_kernel(layer.activation, pass.columns.channels - 1,
                                                  layer.gated(), preactivations || slopes);
  const RowVectors offsets = offsets_of(pass, time, memory, l);
  const float* const coordinates = layer.form.coordinates ? layer.coordinates.data() : nullptr;
  const int stride = pass.columns.strips * kLanes;
  reserve(scratch.pixel_terms, std::size_t(channels) * stride);
  reserve(scratch.products, layer.forward.scratch(layer.in_stored, layer.out_stored));
  convolve(layer.forward, in, out, panels, scratch.products.data(),
           [&](int y, int x, int first, int last) {
             const std::size_t at = out.layout.offset(y, x);
             arguments.out = {out.data + at, out.layout.panel_stride()};
             arguments.offset = of_class(offsets, layer.classes.of(y, x), channels);
             if (coordinates) {
               const float* const terms =
                   coordinates + (std::size_t(y) * layer.map.plane_out.width + x) * channels;
               for (int j = first; j < last; ++j)
                 for (int g = 0; g < pass.columns.strips; ++g)
                   store(scratch.pixel_terms.data() + std::size_t(j) * stride + g * kLanes,
                         arguments.offset.at(j, g) + splat(terms[j]));
               arguments.offset = {scratch.pixel_terms.data(), stride, kLanes};
             }
             if (preactivations) arguments.preactivations = preactivations + at;
             if (slopes)
               arguments.slopes =
                   slopes + (std::size_t(y) * layer.map.plane_out.width + x) * pixel_slopes;
             activate(arguments, first, last);
           });
}

/// (a) → (a, t a), for blend.
inline void ConvolutionChain::expand_input(const FieldPass& pass, const NetTime& time, int l,
                                           const Images& input) const {
  const RowVectors times = times_of(pass, time);
  const int channels = layers_[l].in();
  for_each_pixel(input.layout.plane, [&](int y, int x) {
    const Panels pixel = input.pixel(y, x);
    for (int n = 0; n < pass.columns.count(); ++n) {
      float* const column = pixel.column(n);
      const Vec t = times.at(0, n / pass.columns.channels);
      for (int c = 0; c < channels; ++c)
        store(column + std::size_t(channels + c) * kFeatureStride,
              t * load(column + std::size_t(c) * kFeatureStride));
    }
  });
}

/// g = σ(a t + q + U c) and g ⊙ (b + V c) + s of a layer that the context moves.
inline void ConvolutionChain::set_row_terms(const FieldPass& pass, const NetTime& time, int l,
                                            const float* terms, ChainMemory& memory) const {
  const ConvolutionLayer& layer = layers_[l];
  const LayerTime& at_time = time.layers[first_ + l];
  const int strips = pass.columns.strips, stride = strips * kLanes;
  const bool moves_bias = context_.moves_bias(first_ + l);
  const float* logits = terms + std::size_t(std::max(context_.gates[first_ + l], 0)) * pass.rows;
  const float* biases = terms + std::size_t(std::max(context_.biases[first_ + l], 0)) * pass.rows;
  const RowVectors gates = of_pass(pass, time, at_time.gate), times = times_of(pass, time);
  const RowVectors shifts = of_pass(pass, time, at_time.shift);
  const RowVectors offsets = of_pass(pass, time, at_time.offset);
  reserve(memory.row_gates[l], std::size_t(layer.out()) * stride);
  reserve(memory.row_offsets[l], std::size_t(layer.units()) * stride);
  for (int unit = 0; unit < layer.units(); ++unit)
    for (int g = 0; g < strips; ++g) {
      const int j = unit % layer.out();
      const std::size_t at = std::size_t(j) * pass.rows + pass.row(g);
      Vec gate = gates.at(j, g), offset = offsets.at(unit, g);
      if (moves_gates(l)) {
        const Vec logit =
            fma(splat(layer.gate_weight[j]), times.at(0, g), splat(layer.gate_bias[j]));
        gate = sigmoid(logit + load(logits + at));
        offset = fma(gate, splat(layer.bias[j]), shifts.at(unit, g));
      }
      if (moves_bias) offset = fma(gate, load(biases + at), offset);
      store(memory.row_gates[l].data() + std::size_t(j) * stride + g * kLanes, gate);
      store(memory.row_offsets[l].data() + std::size_t(unit) * stride + g * kLanes, offset);
    }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
