// What a convolutional net makes before evaluations, and its gradients in PyTorch's layout after
// them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "cpu/convolution_tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline std::vector<ConvolutionLayer> make_convolution_layers(const BlockContext<float>& context) {
  std::vector<ConvolutionLayer> layers;
  if (context.offsets.net.has_branches())
    throw Error(ErrorCode::Unsupported,
                "the cpu engine has no parallel nets yet; use device 'reference'");
  for (const LayerPlan& plan : context.offsets.net.layers) {
    if (plan.hyper())
      throw Error(ErrorCode::Unsupported, "hyper layers are dense; use another layer");
    if (plan.form.coordinates)
      throw Error(ErrorCode::Unsupported,
                  "the cpu engine has no concatcoord layers yet; use device 'reference'");
    if (plan.map.is_dense)
      throw Error(ErrorCode::Unsupported,
                  "a net of convolutions has no dense layers on the cpu engine");
    layers.emplace_back(plan, context.parameters.data());
  }
  return layers;
}

inline ConvolutionTileNet::ConvolutionTileNet(const BlockContext<float>& context)
    : dimension_(static_cast<int>(context.offsets.net.size_in())),
      residual_(context.offsets.net.residual),
      layers_(make_convolution_layers(context)),
      context_(layers_, context.offsets.net.context_size),
      chain_(layers_, 0, layers_.size(), context_) {
  parameters_changed();
}

inline void ConvolutionTileNet::parameters_changed() {
  chain_.pack();
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
    if (!layers_[l].expanded()) continue;
    // The sums are those of b + t (b₁ − b), as b and b₁ − b.
    LayerGradient& gradient = sums.layers[l];
    for (int j = 0; j < layers_[l].out(); ++j) gradient.bias[j] -= gradient.shift[j];
  }
}

inline void ConvolutionTileNet::reduce(std::span<GradientSlot* const> slots, float scale,
                                       std::span<float> gradients) const {
  if (slots.empty()) return;
  NetGradient& sums = sum_of_slots(slots);
  finish(sums);
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
          float sum = layer.gradient.at(sums.weight.data(), n, c, i, j);
          if (layer.expanded()) {
            const float moving = layer.gradient.at(sums.weight.data(), transposed ? n + narrow : n,
                                                   transposed ? c : c + wide, i, j);
            gradients[layer.offsets.weight1 + place] += scale * moving;
            sum -= moving;
          }
          gradients[layer.offsets.weight + place] += scale * sum;
        }
  if (layer.takes_time())
    for (int index = 0; index < layer.classes.count(); ++index)
      for (int channel = 0; channel < layer.out(); ++channel)
        layer.classes.for_each_tap(index, [&](int i, int j) {
          gradients[layer.offsets.weight + layer.time_place(channel, i, j)] +=
              scale * sums.shift[std::size_t(index) * layer.out() + channel];
        });
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
