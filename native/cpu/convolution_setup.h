// What a convolutional net makes before evaluations, and its gradients in PyTorch's layout after
// them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "cpu/convolution_tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline std::vector<ConvolutionLayer> make_convolution_layers(const BlockContext<float>& context,
                                                             ConvolutionMethod method) {
  std::vector<ConvolutionLayer> layers;
  for (const LayerPlan& plan : context.offsets.net.layers) {
    if (plan.hyper())
      throw Error(ErrorCode::Unsupported, "hyper layers are dense; use another layer");
    if (plan.map.is_dense)
      throw Error(ErrorCode::Unsupported,
                  "a net of convolutions has no dense layers on the cpu engine");
    layers.emplace_back(plan, context.parameters.data(), method);
  }
  return layers;
}

inline ConvolutionTileNet::ConvolutionTileNet(const BlockContext<float>& context,
                                              ConvolutionMethod method)
    : dimension_(static_cast<int>(context.offsets.net.size_in())),
      residual_(context.offsets.net.residual),
      layers_(make_convolution_layers(context, method)),
      context_(layers_, context.offsets.net.context_size) {
  const NetPlan& net = context.offsets.net;
  const LinearMap& first = net.layers.front().map;
  for (const Branch& branch : net.branches) {
    chains_.emplace_back(layers_, branch, first.channels_in, first.plane_in, context_);
    lattices_.emplace_back(probe_lattice(net, branch),
                           squeezed_places(first.channels_in, first.plane_in, branch.squeezes));
  }
  parameters_changed();
}

inline void ConvolutionTileNet::parameters_changed() {
  for (ConvolutionChain& chain : chains_) chain.pack();
  context_.pack(layers_);
}

inline std::unique_ptr<TimeSlot> ConvolutionTileNet::make_time_slot(const TracePlan&) const {
  auto slot = std::make_unique<NetTime>();
  slot->layers.resize(layers_.size());
  return slot;
}

inline std::unique_ptr<Activations> ConvolutionTileNet::make_activations(
    const TracePlan& trace, const Regularisers& regularisers) const {
  auto memory = std::make_unique<ConvolutionActivations>();
  memory->trace = trace;
  memory->regularisers = regularisers;
  memory->regulariser_sums.resize(regularisers.count() * rows());
  return memory;
}

inline std::unique_ptr<GradientSlot> ConvolutionTileNet::make_gradient_slot(
    const TracePlan&) const {
  return std::make_unique<NetGradient>(layers_, context_);
}

inline void ConvolutionTileNet::set_time(TimeSlot& slot, double t) const {
  auto& time = static_cast<NetTime&>(slot);
  time.own = false;
  time.t = static_cast<float>(t);
  time.times.assign(kLanes, time.t);
  for (std::size_t l = 0; l < layers_.size(); ++l)
    set_gates(layers_[l], time, layers_[l].bias.data(), static_cast<int>(rows()), time.layers[l]);
}

inline void ConvolutionTileNet::set_times(TimeSlot& slot, const float* t) const {
  auto& time = static_cast<NetTime&>(slot);
  time.own = true;
  time.times.assign(t, t + rows());
  for (std::size_t l = 0; l < layers_.size(); ++l)
    set_gates(layers_[l], time, layers_[l].bias.data(), static_cast<int>(rows()), time.layers[l]);
}

inline void ConvolutionTileNet::finish(GradientSlot& slot) const {
  auto& sums = static_cast<NetGradient&>(slot);
  if (std::exchange(sums.finished, true)) return;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l].transforms()) layers_[l].gather_taps(sums.layers[l]);
    if (!layers_[l].expanded()) continue;
    // The sums are those of b + t (b₁ − b), as b and b₁ − b.
    LayerGradient& gradient = sums.layers[l];
    for (int j = 0; j < layers_[l].out(); ++j) gradient.bias[j] -= gradient.shift[j];
  }
}

inline void ConvolutionTileNet::add_sums(GradientSlot& slot, float scale,
                                         std::span<float> gradients) const {
  finish(slot);
  auto& sums = static_cast<NetGradient&>(slot);
  context_.reduce(layers_, sums.context.data(), scale, gradients);
  for (std::size_t l = 0; l < layers_.size(); ++l)
    reduce_layer(layers_[l], sums.layers[l], scale, gradients);
}

inline void ConvolutionTileNet::reduce_layer(const ConvolutionLayer& layer,
                                             const LayerGradient& sums, float scale,
                                             std::span<float> gradients) const {
  const LinearMap& map = layer.map;
  const bool transposed = map.transposed();
  const int narrow = transposed ? layer.in() : layer.out();
  const int wide = transposed ? layer.out() : layer.in();
  const Plane& kernel = map.convolution.kernel;
  const auto add = [&](std::size_t offset, const std::vector<float>& values) {
    if (offset == kAbsent) return;
    for (std::size_t i = 0; i < values.size(); ++i) gradients[offset + i] += scale * values[i];
  };
  for (int n = 0; n < narrow; ++n)
    for (int c = 0; c < wide; ++c)
      for (int i = 0; i < kernel.height; ++i)
        for (int j = 0; j < kernel.width; ++j) {
          const std::size_t place = layer.place(n, c, i, j);
          float sum = sums.weight.values[layer.gradient.place(n, c, i, j)];
          if (layer.expanded()) {
            const float moving = sums.weight.values[layer.gradient.place(
                transposed ? n + narrow : n, transposed ? c : c + wide, i, j)];
            gradients[layer.offsets.weight1 + place] += scale * moving;
            sum -= moving;
          }
          gradients[layer.offsets.weight + place] += scale * sum;
        }
  const auto add_plane = [&](int plane, int channel, int i, int j, float sum) {
    gradients[layer.offsets.weight + layer.plane_place(plane, channel, i, j)] += scale * sum;
  };
  for (int channel = 0; channel < layer.out() && layer.planes() > 0; ++channel)
    for (int index = 0; index < layer.classes.count(); ++index)
      layer.classes.for_each_tap(index, [&](int i, int j) {
        add_plane(0, channel, i, j, sums.shift[std::size_t(index) * layer.out() + channel]);
      });
  for (int channel = 0; channel < layer.out() && layer.form.coordinates; ++channel)
    for (int i = 0; i < kernel.height; ++i)
      for (int j = 0; j < kernel.width; ++j) {
        const float* const rows =
            sums.coordinates.data() + (std::size_t(i) * kernel.width + j) * layer.out() + channel;
        add_plane(1, channel, i, j, rows[0]);
        add_plane(2, channel, i, j, rows[map.taps() * layer.out()]);
      }
  add(layer.offsets.bias, sums.bias);
  if (layer.shifted()) add(layer.offsets.shift, sums.shift);
  if (layer.expanded()) add(layer.offsets.bias1, sums.shift);
  if (layer.gated()) {
    add(layer.offsets.gate_weight, sums.gate_weight);
    add(layer.offsets.gate_bias, sums.gate_bias);
  }
  if (layer.offsets.beta != kAbsent) gradients[layer.offsets.beta] += scale * sums.beta;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
