#include "core/initial_values.h"

#include <algorithm>
#include <cmath>

namespace ffjord {

void InitialParameters::draw(std::size_t offset, NoiseLaw law, double spread) {
  if (offset == kAbsent) return;
  std::vector<float> noise(layout_.parameter_at(offset).size);
  fill_noise<float>(law, {seed_, tensor_++, kInitialBlock, 0}, 0, noise.size(), noise);
  for (std::size_t i = 0; i < noise.size(); ++i) {
    const double centred = law == NoiseLaw::Uniform ? 2.0 * noise[i] - 1.0 : noise[i];
    values_[offset + i] = static_cast<float>(spread * centred);
  }
}

void InitialParameters::clear(std::size_t offset) {
  if (offset == kAbsent) return;
  std::fill_n(values_.begin() + offset, layout_.parameter_at(offset).size, 0.0);
}

void InitialParameters::draw(const NetPlan& net) {
  for (const LayerPlan& layer : net.layers) {
    const LayerOffsets& at = layer.offsets;
    const int inputs =
        layer.stored_map().channels_in + (layer.context_moves_bias ? net.context_size : 0);
    const double bound = 1 / std::sqrt(layer.map.with_channels_in(inputs).fan_in());
    for (std::size_t offset : {at.weight, at.bias, at.weight1, at.bias1, at.context})
      draw(offset, NoiseLaw::Uniform, bound);
    // Linear(1, out): fan-in 1, or 1 + C behind a gate of (t, c)
    const double gate_inputs = layer.context_moves_gate ? 1.0 + net.context_size : 1.0;
    for (std::size_t offset : {at.gate_weight, at.gate_bias, at.context_gate})
      draw(offset, NoiseLaw::Uniform, 1 / std::sqrt(gate_inputs));
    draw(at.shift, NoiseLaw::Uniform, 1.0);
    for (std::size_t offset : {at.hyper0_bias, at.hyper2_bias})
      draw(offset, NoiseLaw::Gaussian, 0.01);
    if (at.beta != kAbsent) values_[at.beta] = 1;
  }
  if (!net.zero_last) return;
  for (const Branch& branch : net.branches) {
    const LayerOffsets& at = net.layers[branch.end - 1].offsets;
    for (std::size_t offset : {at.weight, at.weight1}) clear(offset);
  }
}

void InitialParameters::draw(const FlowDescription& flow, const std::vector<BlockOffsets>& blocks) {
  for (std::size_t i = 0; i < blocks.size(); ++i)
    if (const auto* cnf = std::get_if<Cnf>(&flow.blocks[i])) {
      values_[blocks[i].sqrt_end_time] = static_cast<float>(std::sqrt(cnf->time));
      draw(blocks[i].net);
    }
}

std::vector<double> initial_parameters(const FlowDescription& flow, const FlowLayout& layout,
                                       std::uint64_t seed) {
  InitialParameters first(layout, seed);
  first.draw(flow, layout.blocks);
  return first.values();
}

std::vector<double> initial_buffers(const FlowLayout& layout) {
  std::vector<double> values(layout.buffer_count, 0.0);
  for (const BlockOffsets& block : layout.blocks)
    for (const Parameter& buffer : layout.buffers)
      if (buffer.offset == block.running_var)
        std::fill_n(values.begin() + buffer.offset, buffer.size, 1.0);
  return values;
}

}  // namespace ffjord
