// The divergence by noise of a bottleneck's width on a tile, and its pullback (core/trace_plan.h):
// f = g(h(z)), tr J ≈ ε·(∂h/∂z)(∂g/∂h)ε. The values pass the encoder h; h and ε the decoder g,
// which leaves v = (∂g/∂h)ε beside f; z and v the encoder again, which leaves (∂h/∂z)v.
#pragma once

#include "cpu/backward_pass.h"
#include "cpu/forward_pass.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// Copies `features` of one channel of `from` to one of `to`, in every strip.
inline void copy_channel(const Panels& from, const Columns& from_columns, int from_channel,
                         const Panels& to, const Columns& to_columns, int to_channel,
                         int features) {
  for (int g = 0; g < from_columns.strips; ++g) {
    const float* source = from.column(g * from_columns.channels + from_channel);
    float* target = to.column(g * to_columns.channels + to_channel);
    for (int i = 0; i < features; ++i)
      store(target + i * kFeatureStride, load(source + i * kFeatureStride));
  }
}

inline void DenseTileNet::evaluate_bottleneck(const NetTime& time, const TileArrays& arrays,
                                              TileActivations& memory, bool keep) const {
  const int encoder = memory.trace.encoder, width = layers_[encoder].in();
  const int probes = memory.trace.probes, last = layer_count();
  TileActivations &decoder = *memory.decoder, &probe = *memory.probe;
  const std::size_t rows = this->rows();

  memory.columns = {strips_, 1};
  load_input(arrays, memory);
  run_layers(time, arrays.terms, memory, keep, 0, encoder);

  decoder.columns = probe.columns = {strips_, probes + 1};
  const Panels h = panels(memory.output(encoder, keep), memory.columns, features_at(encoder));
  const Panels in = panels(decoder.output(encoder, keep), decoder.columns, features_at(encoder));
  copy_channel(h, memory.columns, 0, in, decoder.columns, 0, width);
  for (int k = 0; k < probes; ++k)
    for (int g = 0; g < strips_; ++g)
      for (int i = 0; i < width; ++i)
        store(in.column(g * decoder.columns.channels + k + 1) + i * kFeatureStride,
              load(arrays.eps + (std::size_t(k) * width + i) * rows + g * kLanes));
  run_layers(time, arrays.terms, decoder, keep, encoder, last);

  const Panels out = panels(decoder.output(last, keep), decoder.columns, dimension_);
  const Panels f = panels(memory.output(last, keep), memory.columns, dimension_);
  copy_channel(out, decoder.columns, 0, f, memory.columns, 0, dimension_);
  write_output(time, arrays, memory, f);

  const Panels z = panels(memory.outputs[0], memory.columns, features_at(0));
  const Panels input = panels(probe.outputs[0], probe.columns, features_at(0));
  copy_channel(z, memory.columns, 0, input, probe.columns, 0, dimension_);
  for (int k = 0; k < probes; ++k)
    copy_channel(out, decoder.columns, k + 1, input, probe.columns, k + 1, dimension_);
  run_layers(time, arrays.terms, probe, keep, 0, encoder);

  const Panels tangents = panels(probe.output(encoder, keep), probe.columns, features_at(encoder));
  for (int g = 0; g < strips_; ++g) {
    Vec sum = {};
    for (int k = 0; k < probes; ++k)
      for (int i = 0; i < width; ++i)
        sum = fma(load(arrays.eps + (std::size_t(k) * width + i) * rows + g * kLanes),
                  load(tangents.column(g * probe.columns.channels + k + 1) + i * kFeatureStride),
                  sum);
    sum = sum * splat(1.f / float(probes));
    if (residual_) sum = sum - splat(float(dimension_));
    store(arrays.divergence + g * kLanes, sum);
  }
}

/// The three passes of evaluate_bottleneck, last first.
inline double DenseTileNet::pull_bottleneck(Reverse& reverse) const {
  const TileCotangents& arrays = reverse.arrays;
  TileActivations& memory = reverse.memory;
  TileActivations &decoder = *memory.decoder, &probe = *memory.probe;
  const int encoder = memory.trace.encoder, width = layers_[encoder].in();
  const int probes = memory.trace.probes;
  const std::size_t rows = this->rows();
  const auto part = [&](TileActivations& of) {
    return Reverse{reverse.time, arrays, of, reverse.gradient, 0, reverse.times_bar};
  };

  const Panels f_bar = panels(memory.cotangents[0], memory.columns, features_at(layer_count()));
  load_seeds(reverse, f_bar);

  const Panels seeds = panels(probe.cotangents[0], probe.columns, features_at(encoder));
  for (int g = 0; g < strips_; ++g) {
    const Vec divergence_bar = arrays.divergence ? load(arrays.divergence + g * kLanes) : Vec{};
    const Vec weighted = divergence_bar * splat(1.f / float(probes));
    float* column = seeds.column(g * probe.columns.channels);
    for (int i = 0; i < width; ++i) store(column + i * kFeatureStride, Vec{});
    for (int k = 0; k < probes; ++k) {
      column = seeds.column(g * probe.columns.channels + k + 1);
      for (int i = 0; i < width; ++i)
        store(column + i * kFeatureStride,
              weighted * load(arrays.eps + (std::size_t(k) * width + i) * rows + g * kLanes));
    }
  }
  Reverse probe_reverse = part(probe);
  const Panels input_bar = pull_layers(probe_reverse, 0, encoder, seeds, true);
  add_to_rows(pass_of(probe), input_bar, arrays.z);

  const Panels out_bar = panels(decoder.cotangents[0], decoder.columns, dimension_);
  copy_channel(f_bar, memory.columns, 0, out_bar, decoder.columns, 0, dimension_);
  for (int k = 0; k < probes; ++k)
    copy_channel(input_bar, probe.columns, k + 1, out_bar, decoder.columns, k + 1, dimension_);
  Reverse decoder_reverse = part(decoder);
  const Panels in_bar = pull_layers(decoder_reverse, encoder, layer_count(), out_bar, false);

  const Panels h_bar = panels(memory.cotangents[0], memory.columns, features_at(encoder));
  copy_channel(in_bar, decoder.columns, 0, h_bar, memory.columns, 0, width);
  Reverse encoder_reverse = part(memory);
  add_to_rows(pass_of(memory), pull_layers(encoder_reverse, 0, encoder, h_bar, false), arrays.z);
  return probe_reverse.t_bar + decoder_reverse.t_bar + encoder_reverse.t_bar;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
