// The way back through the layers of a pass.
#pragma once

#include "cuda/net/layer_pass.h"
#include "cuda/net/multiply.h"

namespace ffjord::cuda {

/// What a pullback carries from layer to layer.
struct Reverse {
  const DeviceNet& net;
  const Evaluation& evaluation;
  PullbackScratch& scratch;
  const FieldPoint& point;
  const FieldTargets& targets;
  float* time_bars;       ///< where the next part of t̄ goes; null: not wanted
  int current = 0;        ///< which of the scratch's two places holds the cotangents
  OctetRows octets = {};  ///< of them, split; none where their layer left none

  float* value_bar() const { return scratch.value_bars[current]; }
  float* tangent_bar() const { return scratch.tangent_bars[current]; }
  void turn() { current = 1 - current; }
  void passed_times(int parts) {
    if (time_bars) time_bars += std::size_t(parts) * point.batch;
  }
};

/// Cotangents of the rates → those of what the net's last layer made.
void seed(const Reverse& reverse, const FieldColumns<const float>& bars, bool adds);
/// Cotangents of what a pass left → those of what its first layer made, and gradients.
void pull_layers(Reverse& reverse, const LayerPass& pass);
/// The product by Wᵀ of a layer, from cotangents of its (z, u), which the caller names as where
/// they go to.
MultiplyArguments back_product(const DeviceNet& net, const Evaluation& evaluation,
                               const Layer& layer, const FieldPoint& point);
/// The product that goes on from pulled layers to the pass's input: that of the values, to a place
/// which the caller names.
MultiplyArguments input_product(const Reverse& reverse, const LayerPass& pass);
/// Where cotangents of what a pass takes go: values ← sign · product, or added.
struct InputBars {
  float* values = nullptr;  ///< (rows, stride)
  int stride = 0;
  float sign = 1;
  bool adds = false;
};
/// The same, as octets where they are there.
void pull_input(const Reverse& reverse, const LayerPass& pass, const InputBars& to);
/// The same to z̄, of dense nets.
void pull_rows(const Reverse& reverse, const LayerPass& pass, bool adds);

}  // namespace ffjord::cuda
