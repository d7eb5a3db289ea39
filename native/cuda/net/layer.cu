#include <initializer_list>
#include <utility>

#include "cuda/net/layer.h"

namespace ffjord::cuda {

std::vector<Layer> make_layers(const NetPlan& net) {
  std::vector<Layer> layers;
  int unit = 0, terms = 0;
  std::size_t packed = 0, plane = 0;
  for (const LayerPlan& plan : net.layers) {
    Layer& layer = layers.emplace_back();
    static_cast<LayerPlan&>(layer) = plan;
    layer.number = static_cast<int>(layers.size()) - 1;
    layer.unit = unit;
    layer.packed = packed;
    for (auto [offset, term] : {std::pair(layer.offsets.context, &layer.bias_term),
                                std::pair(layer.offsets.context_gate, &layer.gate_term)})
      if (offset != kAbsent) {
        *term = terms;
        terms += layer.out();
      }
    unit += layer.out();
    packed += 2 * layer.weights();
    layer.plane = plane;
    if (layer.has_planes()) plane += 2 * layer.map.size_out();
  }
  return layers;
}

}  // namespace ffjord::cuda
