#include <initializer_list>
#include <utility>

#include "cuda/net/layer.h"

namespace ffjord::cuda {
namespace {

LayerOffsets relative(LayerOffsets offsets, std::size_t base) {
  for (std::size_t* offset :
       {&offsets.weight, &offsets.bias, &offsets.weight1, &offsets.bias1, &offsets.gate_weight,
        &offsets.gate_bias, &offsets.shift, &offsets.hyper0_weight, &offsets.hyper0_bias,
        &offsets.hyper2_weight, &offsets.hyper2_bias, &offsets.context, &offsets.context_gate,
        &offsets.beta})
    if (*offset != kAbsent) *offset -= base;
  return offsets;
}

}  // namespace

std::vector<Layer> make_layers(const BlockContext<float>& context) {
  const Net& net = context.cnf.net;
  std::vector<int> widths = {static_cast<int>(element_count(context.shape))};
  widths.insert(widths.end(), net.hidden.begin(), net.hidden.end());
  widths.push_back(widths.front());
  std::vector<Layer> layers(widths.size() - 1);
  int unit = 0, terms = 0;
  std::size_t packed = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    Layer& layer = layers[l];
    layer.kind = net.layer;
    if (l + 1 < layers.size()) layer.activation = net.activation;
    layer.in = widths[l];
    layer.out = widths[l + 1];
    layer.unit = unit;
    layer.packed = packed;
    layer.offsets = relative(context.offsets.layers[l], context.offsets.sqrt_end_time);
    for (auto [offset, term] : {std::pair(layer.offsets.context, &layer.bias_term),
                                std::pair(layer.offsets.context_gate, &layer.gate_term)})
      if (offset != kAbsent) {
        *term = terms;
        terms += layer.out;
      }
    unit += layer.out;
    packed += 2 * layer.weights();
  }
  return layers;
}

}  // namespace ffjord::cuda
