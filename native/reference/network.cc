#include "reference/network.h"

#include <utility>

#include "reference/activation.h"
#include "reference/linear_map.h"

namespace ffjord::reference {

Network::Network(const NetPlan& net, View parameters) {
  for (const LayerPlan& plan : net.layers) layers_.emplace_back(plan, parameters, net.context_size);
}

std::vector<LayerAt> Network::at(double t, View context) const {
  std::vector<LayerAt> layers;
  for (const Layer& layer : layers_) layers.push_back(layer.at(t, context));
  return layers;
}

double Network::pullback(double t, View context, const std::vector<LayerAt>& bars, Target gradients,
                         Target context_bar) const {
  double t_bar = 0;
  for (std::size_t l = 0; l < depth(); ++l)
    t_bar += layers_[l].pullback(t, context, bars[l], gradients, context_bar);
  return t_bar;
}

void Network::push(const std::vector<LayerAt>& at, Columns input, RowTape& tape,
                   LayerRange range) const {
  tape.layers.resize(depth());
  Columns& columns = tape.output;
  columns = std::move(input);
  for (std::size_t l = range.first; l < range.end; ++l) {
    const LinearMap& map = layers_[l].map();
    const std::size_t size = map.size_out(), plane = map.plane_out.size();
    const LayerAt& layer = at[l];
    LayerTape& kept = tape.layers[l];

    kept.input = columns;
    kept.product.resize(columns.size());
    for (std::size_t k = 0; k < columns.size(); ++k) {
      kept.product[k].resize(size);
      apply(map, layer.weight, columns[k], kept.product[k]);
      columns[k].resize(size);
    }
    kept.before.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
      kept.product[0][i] += layer.bias[i / plane];
      kept.before[i] = layer.gate[i / plane] * kept.product[0][i] + layer.shift[i];
    }

    const Activation activation = layers_[l].plan().activation;
    for (std::size_t i = 0; i < size; ++i) {
      const double z = kept.before[i];
      columns[0][i] = activate(activation, z, layer.beta);
      if (columns.size() == 1) continue;
      const double factor = slope(activation, z, layer.beta) * layer.gate[i / plane];
      for (std::size_t k = 1; k < columns.size(); ++k) columns[k][i] = factor * kept.product[k][i];
    }
  }
}

void Network::pull_activation(const Layer& layer, const LayerAt& at, const LayerTape& tape,
                              const Vector* slope_bar, Columns& bars, LayerAt& at_bar) const {
  const Activation activation = layer.plan().activation;
  const std::size_t plane = layer.map().plane_out.size();
  for (std::size_t i = 0; i < tape.before.size(); ++i) {
    const double z = tape.before[i];
    const double first = slope(activation, z, at.beta);
    double first_bar = slope_bar ? (*slope_bar)[i] : 0;  // cotangent of σ'(z): Σ_k u_k ǡ_k
    for (std::size_t k = 1; k < bars.size(); ++k) {
      first_bar += at.gate[i / plane] * tape.product[k][i] * bars[k][i];
      bars[k][i] *= first;
    }
    if (activation == Activation::Swish)
      at_bar.beta += swish_value_by_beta(z, at.beta) * bars[0][i] +
                     swish_slope_by_beta(z, at.beta) * first_bar;
    bars[0][i] = first * bars[0][i] + curvature(activation, z, at.beta) * first_bar;
  }
}

void Network::pull_layer(const Layer& layer, const LayerAt& at, const LayerTape& tape,
                         Columns& bars, LayerAt& at_bar) const {
  const LinearMap& map = layer.map();
  const std::size_t plane = map.plane_out.size();
  for (std::size_t k = 0; k < bars.size(); ++k) {
    Vector& bar = bars[k];
    for (std::size_t i = 0; i < bar.size(); ++i) {
      const std::size_t channel = i / plane;
      at_bar.gate[channel] += bar[i] * tape.product[k][i];
      if (k == 0) at_bar.shift[i] += bar[i];
      bar[i] *= at.gate[channel];
      if (k == 0) at_bar.bias[channel] += bar[i];
    }
    add_weight_gradient(map, bar, tape.input[k], at_bar.weight);
    Vector input_bar(map.size_in());
    apply_transpose(map, at.weight, bar, input_bar);
    bar = std::move(input_bar);
  }
}

Columns Network::pull(const std::vector<LayerAt>& at, const RowTape& tape, Columns output_bars,
                      const std::vector<Vector>& slope_bars, std::vector<LayerAt>& bars,
                      LayerRange range) const {
  Columns columns = std::move(output_bars);
  for (std::size_t l = range.end; l-- > range.first;) {
    if (layers_[l].plan().activation != Activation::Identity)
      pull_activation(layers_[l], at[l], tape.layers[l],
                      slope_bars.empty() ? nullptr : &slope_bars[l], columns, bars[l]);
    pull_layer(layers_[l], at[l], tape.layers[l], columns, bars[l]);
  }
  return columns;
}

Vector Network::vector_jacobian(const std::vector<LayerAt>& at, const RowTape& tape, View eps,
                                LayerRange range) const {
  Vector bar(eps.begin(), eps.end());
  for (std::size_t l = range.end; l-- > range.first;) {
    const LinearMap& map = layers_[l].map();
    const Vector factor = slopes(at, tape, l);
    for (std::size_t i = 0; i < bar.size(); ++i)
      bar[i] *= factor[i] * at[l].gate[i / map.plane_out.size()];
    Vector input_bar(map.size_in());
    apply_transpose(map, at[l].weight, bar, input_bar);
    bar = std::move(input_bar);
  }
  return bar;
}

Vector Network::slopes(const std::vector<LayerAt>& at, const RowTape& tape, std::size_t l) const {
  Vector values(tape.layers[l].before);
  for (double& value : values) value = slope(layers_[l].plan().activation, value, at[l].beta);
  return values;
}

}  // namespace ffjord::reference
