// What Net makes before evaluations: packed weights, time slots, memory; and gradients in PyTorch's
// layout after them.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "cpu/dense_tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// Rows of a tile: activations of 32 rows stay in the first two caches; 64 where the weights do
/// not, as every tile reads all of them.
inline int tile_rows(const std::vector<Layer>& layers) {
  constexpr int kWeightsOfSecondCache = 1 << 17;
  int weights = 0;
  for (const Layer& layer : layers) weights += layer.depth() * layer.out();
  return weights > kWeightsOfSecondCache ? kMostRows : kMostRows / 2;
}

inline DenseTileNet::DenseTileNet(const BlockContext<float>& context)
    : dimension_(static_cast<int>(context.offsets.net.size_in())),
      residual_(context.offsets.net.residual),
      layers_(make_layers(context)),
      context_(layers_, context.offsets.net.context_size),
      strips_(tile_rows(layers_) / kLanes) {
  parameters_changed();
}

inline void DenseTileNet::parameters_changed() {
  for (Layer& layer : layers_) layer.pack();
  context_.pack(layers_);
  ones_.assign(std::size_t(dimension_) * kLanes, 1.f);
  const bool has_closed_form = layers_.size() == 2 || layers_.size() == 3;
  const Layer& last = layers_.back();
  if (has_closed_form && !last.gated() && !last.moves()) closed_.build(layers_, ones_.data());
}

inline bool DenseTileNet::closed_applies(const TracePlan& trace, bool own_times) const {
  const Layer& last = layers_.back();
  return trace.closed() && !last.moves() && !(own_times && last.gated());
}

inline const ClosedTrace& DenseTileNet::closed_trace(const NetTime& time) const {
  return layers_.back().gated() ? time.closed : closed_;
}

inline const float* DenseTileNet::output_gate(const NetTime& time) const {
  return layers_.back().gated() ? time.layers.back().gate.data() : ones_.data();
}

inline std::unique_ptr<TimeSlot> DenseTileNet::make_time_slot(const TracePlan& trace) const {
  auto slot = std::make_unique<NetTime>();
  slot->layers.resize(layers_.size());
  slot->builds_closed = closed_applies(trace, false) && layers_.back().gated();
  return slot;
}

inline std::unique_ptr<Activations> DenseTileNet::make_activations(
    const TracePlan& trace, const Regularisers& regularisers) const {
  auto memory = make_kept_activations(trace, regularisers);
  auto& all = static_cast<TileActivations&>(*memory);
  for (TileActivations* part : {&all, all.decoder.get(), all.probe.get()})
    if (part) static_cast<TileScratch&>(*part) = make_scratch(trace);
  return memory;
}

inline std::unique_ptr<Activations> DenseTileNet::make_kept_activations(
    const TracePlan& trace, const Regularisers& regularisers) const {
  auto kept = make_tile_activations(trace, regularisers);
  if (trace.divergence != Divergence::Bottleneck) return kept;
  kept->decoder = make_tile_activations(trace, {});
  kept->probe = make_tile_activations(trace, {});
  return kept;
}

inline TileScratch DenseTileNet::make_scratch(const TracePlan& trace) const {
  TileScratch scratch;
  scratch.low_rank_bars.resize(layers_.size());
  scratch.cotangents.resize(layers_.front().amortised.rank > 0 ? layers_.size() + 1 : 2);
  scratch.closed_cotangents.resize(layers_.size() - 1);
  int widest = 0;
  for (const Layer& layer : layers_) widest = std::max(widest, layer.out());
  widest = round_up(widest, kLanes);
  scratch.sums.resize(std::size_t(widest) * kLanes);
  scratch.gate_sums.resize(std::size_t(widest) * kLanes);
  scratch.summed.resize(2 * std::size_t(widest));
  const int channels = 1 + (trace.exact() ? dimension_ : trace.probes);
  scratch.transposed.resize(rows() * channels * 4 * kLanes);
  return scratch;
}

inline std::unique_ptr<TileActivations> DenseTileNet::make_tile_activations(
    const TracePlan& trace, const Regularisers& regularisers) const {
  auto memory = std::make_unique<TileActivations>();
  memory->trace = trace;
  memory->regularisers = regularisers;
  memory->outputs.resize(layers_.size() + 1);
  memory->preactivations.resize(layers_.size() + 1);
  memory->slopes.resize(layers_.size() + 1);
  memory->row_gates.resize(layers_.size());
  memory->row_offsets.resize(layers_.size());
  memory->low_rank.resize(layers_.size());
  memory->closed_tangents.resize(layers_.size() - 1);
  memory->regulariser_sums.resize(regularisers.count() * rows());
  return memory;
}

inline std::unique_ptr<GradientSlot> DenseTileNet::make_gradient_slot(
    const TracePlan& trace) const {
  auto slot = std::make_unique<NetGradient>(layers_, context_);
  if (layers_.size() == 3 && closed_applies(trace, false) && !layers_.back().gated())
    slot->m_bar.values.resize(std::size_t(layers_[1].out()) * padded_features(layers_[0].out()));
  slot->m_bar.first_writes = true;
  for (std::size_t l = 0; l < layers_.size(); ++l)
    slot->layers[l].weight.first_writes = !layers_[l].hyper();
  slot->clear();
  return slot;
}

inline void DenseTileNet::set_time(TimeSlot& slot, double t) const {
  auto& time = static_cast<NetTime&>(slot);
  time.own = false;
  time.t = static_cast<float>(t);
  time.times.assign(kLanes, time.t);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    if (layer.hyper()) {
      const std::vector<float> bias = set_hypernet(layer, time.t, time.layers[l]);
      set_gates(layer, time, bias.data(), static_cast<int>(rows()), time.layers[l]);
    } else {
      set_gates(layer, time, layer.bias.data(), static_cast<int>(rows()), time.layers[l]);
    }
  }
  if (time.builds_closed) time.closed.build(layers_, output_gate(time));
}

inline void DenseTileNet::set_times(TimeSlot& slot, const float* t) const {
  if (layers_.front().hyper())
    throw Error(ErrorCode::Unsupported,
                "hyper layers take one time for all rows of a call; evaluate rows of different "
                "times in calls of their own");
  auto& time = static_cast<NetTime&>(slot);
  time.own = true;
  time.times.assign(t, t + rows());
  for (std::size_t l = 0; l < layers_.size(); ++l)
    set_gates(layers_[l], time, layers_[l].bias.data(), static_cast<int>(rows()), time.layers[l]);
}

inline void DenseTileNet::finish(GradientSlot& slot) const {
  auto& sums = static_cast<NetGradient&>(slot);
  if (std::exchange(sums.finished, true)) return;
  const std::vector<WeightSums> weight_bars = weight_sums(layers_, sums);
  if (!sums.m_bar.values.empty())
    pull_back_closed_two(layers_, closed_, ones_.data(), sums.m_bar.begin().data(), weight_bars);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    if (!layer.expanded()) continue;
    // The sums are those of W₀ + t (W₁ − W₀), as W₀ and W₁ − W₀ side by side.
    for (int j = 0; j < layer.out(); ++j) {
      for (int k = 0; k < layer.in(); ++k)
        weight_bars[l].at(j, k) -= weight_bars[l].at(j, layer.in() + k);
      sums.layers[l].bias[j] -= sums.layers[l].shift[j];
    }
  }
}

inline void DenseTileNet::move_sums(GradientSlot& from, GradientSlot& to) const {
  move_gradients(static_cast<NetGradient&>(from), static_cast<NetGradient&>(to));
}

inline void DenseTileNet::add_sums(GradientSlot& slot, float scale,
                                   std::span<float> gradients) const {
  finish(slot);
  auto& sums = static_cast<NetGradient&>(slot);
  const std::vector<WeightSums> weight_bars = weight_sums(layers_, sums);
  context_.reduce(layers_, sums.context.data(), scale, gradients);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const LayerGradient& sum = sums.layers[l];
    const auto add = [&](std::size_t offset, const std::vector<float>& values) {
      if (offset == kAbsent) return;
      for (std::size_t i = 0; i < values.size(); ++i) gradients[offset + i] += scale * values[i];
    };
    if (layer.offsets.beta != kAbsent) gradients[layer.offsets.beta] += scale * sum.beta;
    if (layer.hyper()) {
      add(layer.offsets.hyper0_weight, sum.hyper0_weight);
      add(layer.offsets.hyper0_bias, sum.hyper0_bias);
      add(layer.offsets.hyper2_weight, sum.hyper2_weight);
      add(layer.offsets.hyper2_bias, sum.hyper2_bias);
      continue;
    }
    const WeightSums& from = weight_bars[l];
    for (int j = 0; j < layer.out(); ++j) {
      float* row =
          gradients.data() + layer.weight_offset() + std::size_t(j) * layer.weight_stride();
      if (layer.takes_time()) row[-1] += scale * sum.shift[j];
      from.add_row(j, 0, layer.in(), scale, row);
      if (layer.expanded()) {
        from.add_row(j, layer.in(), layer.in(), scale,
                     gradients.data() + layer.offsets.weight1 + std::size_t(j) * layer.in());
        gradients[layer.offsets.bias + j] += scale * sum.bias[j];
        gradients[layer.offsets.bias1 + j] += scale * sum.shift[j];
      }
    }
    if (!layer.expanded()) add(layer.offsets.bias, sum.bias);
    add(layer.offsets.shift, sum.shift);
    add(layer.offsets.gate_weight, sum.gate_weight);
    add(layer.offsets.gate_bias, sum.gate_bias);
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
