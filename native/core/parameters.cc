#include "core/parameters.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace ffjord {
namespace {

using Shape = std::vector<std::size_t>;

std::size_t append(std::vector<Parameter>& list, std::size_t& count, std::string name, Shape shape,
                   Role role, bool trainable) {
  const std::size_t offset = count;
  const std::size_t size =
      std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
  list.push_back({std::move(name), std::move(shape), offset, size, role, trainable});
  count += size;
  return offset;
}

/// Adds the tensors of one layer.
class LayerTensors {
 public:
  /// `activations` is where the reference keeps what an activation learns.
  LayerTensors(ParameterLayout& layout, const NetPlan& net, const std::string& layer,
               const std::string& activation)
      : layout_(layout), net_(net), layer_(layer), activation_(activation) {}

  LayerOffsets add(const LayerPlan& layer) const {
    const std::size_t out = layer.out();
    LayerOffsets at;
    if (layer.hyper())
      add_hypernet(layer.hypernet_outputs(), at);
    else
      add_maps(layer, at);
    if (layer.shifted()) at.shift = add_matrix("_hyper_bias.weight", {out, 1}, Role::Gate);
    if (layer.gated()) {
      const std::string gate(row_of(layer.kind).gate_tensor);
      at.gate_weight = add_matrix(gate + ".weight", {out, 1}, Role::Gate);
      at.gate_bias = layout_.add(layer_ + gate + ".bias", {out}, Role::Gate);
    }
    // The norm bounds how fast f moves with z; a context may move it as it likes.
    const Shape context = {out, std::size_t(net_.context_size)};
    if (layer.context_moves_bias)
      at.context = layout_.add(layer_ + "_context.weight", context, Role::Weight);
    if (layer.context_moves_gate)
      at.context_gate = layout_.add(layer_ + "_context_gate.weight", context, Role::Gate);
    if (layer.activation == Activation::Swish)
      at.beta = layout_.add(activation_ + "beta", {1}, Role::Beta);
    return at;
  }

 private:
  void add_hypernet(std::size_t outputs, LayerOffsets& at) const {
    const std::size_t units = kHypernetUnits;
    at.hyper0_weight = add_matrix("_hypernet.0.weight", {units, 1}, Role::Weight);
    at.hyper0_bias = layout_.add(layer_ + "_hypernet.0.bias", {units}, Role::Bias);
    at.hyper2_weight = add_matrix("_hypernet.2.weight", {outputs, units}, Role::Weight);
    at.hyper2_bias = layout_.add(layer_ + "_hypernet.2.bias", {outputs}, Role::Bias);
  }

  void add_maps(const LayerPlan& layer, LayerOffsets& at) const {
    const std::string first = layer.expanded() ? "_layer0" : "_layer";
    add_map(layer, first, at.weight, at.bias);
    if (layer.expanded()) add_map(layer, "_layer1", at.weight1, at.bias1);
  }

  void add_map(const LayerPlan& layer, const std::string& name, std::size_t& weight,
               std::size_t& bias) const {
    const LinearMap map = layer.stored_map();
    weight = add_matrix(name + ".weight", map.weight_shape(), Role::Weight, map.transposed());
    bias = layout_.add(layer_ + name + ".bias", {std::size_t(layer.out())}, Role::Bias);
  }

  /// A weight that spectral normalisation divides by its norm, where the net has one. Its rows are
  /// the outputs, which are the second axis of a transposed filter.
  std::size_t add_matrix(const std::string& name, const Shape& shape, Role role,
                         bool outputs_second = false) const {
    const std::string whole = layer_ + name;
    if (net_.spectral_norm == 0) return layout_.add(whole, shape, role);
    SpectralWeight at;
    at.weight = layout_.add(whole + "_orig", shape, role);
    at.rows = shape[outputs_second ? 1 : 0];
    at.outer = outputs_second ? shape[0] : 1;
    at.inner = layout_.parameters.back().size / (at.rows * at.outer);
    at.iterations = net_.spectral_norm;
    at.effective = layout_.add_buffer(whole, shape);
    at.u = layout_.add_buffer(whole + "_u", {at.rows});
    at.v = layout_.add_buffer(whole + "_v", {at.columns()});
    layout_.spectral_weights.push_back(at);
    return at.weight;
  }

  ParameterLayout& layout_;
  const NetPlan& net_;
  const std::string layer_, activation_;
};

}  // namespace

std::size_t ParameterLayout::add(std::string name, Shape shape, Role role, bool trainable) {
  return append(parameters, parameter_count, std::move(name), std::move(shape), role, trainable);
}

std::size_t ParameterLayout::add_buffer(std::string name, Shape shape) {
  return append(buffers, buffer_count, std::move(name), std::move(shape), Role::Buffer, false);
}

NetPlan ParameterLayout::add_net(const std::string& prefix, NetPlan net) {
  const std::size_t first = parameters.size();
  for (std::size_t b = 0; b < net.branches.size(); ++b) {
    const Branch& branch = net.branches[b];
    const std::string chain =
        prefix + (net.has_branches() ? ".models." + std::to_string(b) : std::string());
    for (std::size_t l = branch.first; l < branch.end; ++l) {
      const std::string number = std::to_string(l - branch.first) + ".";
      const LayerTensors tensors(*this, net, chain + ".layers." + number,
                                 chain + ".activation_fns." + number);
      net.layers[l].offsets = tensors.add(net.layers[l]);
    }
  }
  net.tensors.clear();
  for (std::size_t i = first; i < parameters.size(); ++i)
    net.tensors.push_back({parameters[i].offset, parameters[i].size});
  return net;
}

const Parameter& ParameterLayout::parameter_at(std::size_t offset) const {
  return *std::lower_bound(
      parameters.begin(), parameters.end(), offset,
      [](const Parameter& parameter, std::size_t place) { return parameter.offset < place; });
}

}  // namespace ffjord
