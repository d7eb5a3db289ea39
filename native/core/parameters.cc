#include "core/parameters.h"

#include <cmath>
#include <functional>
#include <numeric>

#include "core/philox.h"

namespace ffjord {
namespace {

constexpr std::size_t kHyperWidth = 8;

using Shape = std::vector<std::size_t>;

class Builder {
 public:
  std::size_t add(std::string name, Shape shape, Role role, bool trainable = true) {
    if (spectral_iterations > 0 && name.ends_with(".weight"))
      return add_spectral(name, shape, role);
    return append(parameters, std::move(name), std::move(shape), role, trainable);
  }
  std::size_t add_buffer(std::string name, Shape shape) {
    return append(buffers, std::move(name), std::move(shape), Role::Buffer, false);
  }

  std::vector<Parameter> parameters, buffers;
  std::vector<SpectralWeight> spectral_weights;
  int spectral_iterations = 0;  // of the weights that are added next
  bool transposed = false;      // filters are (in, out, k, k)

 private:
  std::size_t add_spectral(const std::string& name, const Shape& shape, Role role) {
    SpectralWeight at;
    at.weight = append(parameters, name + "_orig", shape, role, true);
    const bool outputs_second = transposed && shape.size() == 4;
    at.rows = shape[outputs_second ? 1 : 0];
    at.outer = outputs_second ? shape[0] : 1;
    at.inner = parameters.back().size / (at.rows * at.outer);
    at.iterations = spectral_iterations;
    at.effective = add_buffer(name, shape);
    at.u = add_buffer(name + "_u", {at.rows});
    at.v = add_buffer(name + "_v", {at.columns()});
    spectral_weights.push_back(at);
    return at.weight;
  }

  static std::size_t append(std::vector<Parameter>& list, std::string name, Shape shape, Role role,
                            bool trainable) {
    const std::size_t offset = list.empty() ? 0 : list.back().offset + list.back().size;
    const std::size_t size =
        std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
    list.push_back({std::move(name), std::move(shape), offset, size, role, trainable});
    return offset;
  }
};

// (out, in) of a dense layer, the filter of a convolution; `extra` is concat's time input.
Shape weight_shape(const Net& net, std::size_t l, std::size_t in, std::size_t out, bool extra) {
  in += extra;
  if (!net.convolutional()) return {out, in};
  if (net.strides[l] == 1) return {out, in, 3, 3};
  if (net.strides[l] == 2) return {out, in, 4, 4};
  return {in, out, 4, 4};  // transposed
}

LayerOffsets add_layer(Builder& to, const Net& net, const Conditioning& context,
                       const std::string& prefix, std::size_t l, std::size_t in, std::size_t out) {
  const std::string layer = prefix + ".layers." + std::to_string(l) + ".";
  LayerOffsets at;
  to.spectral_iterations = net.spectral_norm;
  to.transposed = net.convolutional() && net.strides[l] == -2;
  const bool gated = net.layer == LayerKind::Squash || net.layer == LayerKind::ConcatSquash;
  const bool shifted = net.layer == LayerKind::ConcatV2 || net.layer == LayerKind::ConcatSquash;
  if (net.layer == LayerKind::Hyper) {
    std::size_t count = out;
    const Shape weight = weight_shape(net, l, in, out, false);
    count += std::accumulate(weight.begin(), weight.end(), std::size_t{1}, std::multiplies<>());
    at.hyper0_weight = to.add(layer + "_hypernet.0.weight", {kHyperWidth, 1}, Role::Weight);
    at.hyper0_bias = to.add(layer + "_hypernet.0.bias", {kHyperWidth}, Role::Bias);
    at.hyper2_weight = to.add(layer + "_hypernet.2.weight", {count, kHyperWidth}, Role::Weight);
    at.hyper2_bias = to.add(layer + "_hypernet.2.bias", {count}, Role::Bias);
  } else {
    const bool blend = net.layer == LayerKind::Blend;
    const Shape weight = weight_shape(net, l, in, out, net.layer == LayerKind::Concat);
    const std::string first = layer + (blend ? "_layer0" : "_layer");
    at.weight = to.add(first + ".weight", weight, Role::Weight);
    at.bias = to.add(first + ".bias", {out}, Role::Bias);
    if (blend) {
      at.weight1 = to.add(layer + "_layer1.weight", weight, Role::Weight);
      at.bias1 = to.add(layer + "_layer1.bias", {out}, Role::Bias);
    }
  }
  if (shifted) at.shift = to.add(layer + "_hyper_bias.weight", {out, 1}, Role::Gate);
  if (gated) {
    const std::string gate = layer + (net.layer == LayerKind::Squash ? "_hyper" : "_hyper_gate");
    at.gate_weight = to.add(gate + ".weight", {out, 1}, Role::Gate);
    at.gate_bias = to.add(gate + ".bias", {out}, Role::Gate);
  }
  // The norm bounds how fast f moves with z; a context may move it as it likes.
  to.spectral_iterations = 0;
  const Shape context_shape = {out, std::size_t(context.size)};
  if (context.size > 0 && l == 0)
    at.context = to.add(layer + "_context.weight", context_shape, Role::Weight);
  if (context.gates && l < net.hidden.size())
    at.context_gate = to.add(layer + "_context_gate.weight", context_shape, Role::Gate);
  if (net.activation == Activation::Swish && l < net.hidden.size())
    at.beta = to.add(prefix + ".activation_fns." + std::to_string(l) + ".beta", {1}, Role::Beta);
  return at;
}

BlockOffsets add_block(Builder& to, const Block& block, const Conditioning& context,
                       const std::vector<int>& shape, const std::string& prefix) {
  BlockOffsets at;
  if (const auto* cnf = std::get_if<Cnf>(&block)) {
    at.sqrt_end_time = to.add(prefix + ".sqrt_end_time", {1}, Role::EndTime, cnf->train_time);
    const auto shapes = layer_shapes(cnf->net, shape);
    for (std::size_t l = 0; l + 1 < shapes.size(); ++l)
      at.layers.push_back(add_layer(to, cnf->net, context, prefix + ".odefunc.diffeq", l,
                                    shapes[l][0], shapes[l + 1][0]));
  } else if (std::holds_alternative<BatchNorm>(block)) {
    const std::size_t size = element_count(shape);
    at.log_scale = to.add(prefix + ".weight", {size}, Role::Scale);
    at.bias = to.add(prefix + ".bias", {size}, Role::Bias);
    at.running_mean = to.add_buffer(prefix + ".running_mean", {size});
    at.running_var = to.add_buffer(prefix + ".running_var", {size});
    at.step = to.add_buffer(prefix + ".step", {1});
  }
  return at;
}

}  // namespace

ParameterLayout::ParameterLayout(const FlowDescription& flow) {
  const auto shapes = validate(flow);
  Builder builder;
  for (std::size_t i = 0; i < flow.blocks.size(); ++i)
    blocks.push_back(
        add_block(builder, flow.blocks[i], flow.context, shapes[i], "chain." + std::to_string(i)));
  parameters = std::move(builder.parameters);
  buffers = std::move(builder.buffers);
  spectral_weights = std::move(builder.spectral_weights);
  if (!parameters.empty()) parameter_count = parameters.back().offset + parameters.back().size;
  if (!buffers.empty()) buffer_count = buffers.back().offset + buffers.back().size;
}

std::vector<double> initial_parameters(const FlowDescription& flow, const ParameterLayout& layout,
                                       std::uint64_t seed) {
  std::vector<double> values(layout.parameter_count, 0.0);
  const auto shapes = validate(flow);
  std::uint32_t tensor = 0;  // every tensor draws from a call of its own

  const auto draw = [&](std::size_t offset, std::size_t size, NoiseLaw law, double spread) {
    std::vector<float> noise(size);
    fill_noise<float>(law, {seed, tensor++, kInitialBlock, 0}, 0, size, noise);
    for (std::size_t i = 0; i < size; ++i) {
      const double centred = law == NoiseLaw::Uniform ? 2.0 * noise[i] - 1.0 : noise[i];
      values[offset + i] = static_cast<float>(spread * centred);
    }
  };
  const auto size_at = [&](std::size_t offset) {
    for (const Parameter& parameter : layout.parameters)
      if (parameter.offset == offset) return parameter.size;
    return std::size_t{0};
  };
  const auto draw_if = [&](std::size_t offset, NoiseLaw law, double spread) {
    if (offset != kAbsent) draw(offset, size_at(offset), law, spread);
  };

  for (std::size_t i = 0; i < flow.blocks.size(); ++i) {
    const auto* cnf = std::get_if<Cnf>(&flow.blocks[i]);
    if (!cnf) continue;
    const BlockOffsets& at = layout.blocks[i];
    values[at.sqrt_end_time] = static_cast<float>(std::sqrt(cnf->time));
    const auto inputs = layer_shapes(cnf->net, shapes[i]);
    for (std::size_t l = 0; l < at.layers.size(); ++l) {
      const LayerOffsets& layer = at.layers[l];
      const int in = inputs[l][0] + (cnf->net.layer == LayerKind::Concat ? 1 : 0) +
                     (l == 0 ? flow.context.size : 0);
      double fan_in = in;
      if (cnf->net.convolutional()) {
        // PyTorch counts a transposed filter's fan-in over its second axis, the outputs.
        const int stride = cnf->net.strides[l];
        fan_in = (stride == -2 ? inputs[l + 1][0] : in) * (stride == 1 ? 9.0 : 16.0);
      }
      const double bound = 1 / std::sqrt(fan_in);
      for (std::size_t offset :
           {layer.weight, layer.bias, layer.weight1, layer.bias1, layer.context})
        draw_if(offset, NoiseLaw::Uniform, bound);
      // Linear(1, out): fan-in 1, or 1 + C behind a gate of (t, c)
      const double gate_inputs = layer.context_gate == kAbsent ? 1.0 : 1.0 + flow.context.size;
      for (std::size_t offset : {layer.gate_weight, layer.gate_bias, layer.context_gate})
        draw_if(offset, NoiseLaw::Uniform, 1 / std::sqrt(gate_inputs));
      draw_if(layer.shift, NoiseLaw::Uniform, 1.0);
      for (std::size_t offset : {layer.hyper0_bias, layer.hyper2_bias})
        draw_if(offset, NoiseLaw::Gaussian, 0.01);
      if (layer.beta != kAbsent) values[layer.beta] = 1;
    }
  }
  return values;
}

std::vector<double> initial_buffers(const FlowDescription& flow, const ParameterLayout& layout) {
  std::vector<double> values(layout.buffer_count, 0.0);
  for (std::size_t i = 0; i < flow.blocks.size(); ++i)
    if (std::holds_alternative<BatchNorm>(flow.blocks[i]))
      for (const Parameter& buffer : layout.buffers)
        if (buffer.offset == layout.blocks[i].running_var)
          std::fill_n(values.begin() + buffer.offset, buffer.size, 1.0);
  return values;
}

}  // namespace ffjord
