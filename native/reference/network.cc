#include "reference/network.h"

#include <utility>

#include "reference/activation.h"

namespace ffjord::reference {

Network::Network(const Net& net, const std::vector<int>& shape, const BlockOffsets& offsets,
                 View parameters, std::size_t context_size)
    : activation_(net.activation) {
  const auto shapes = layer_shapes(net, shape);
  for (std::size_t l = 0; l + 1 < shapes.size(); ++l) {
    const LinearMap map = net.convolutional()
                              ? LinearMap::convolution(net.strides[l], shapes[l], shapes[l + 1])
                              : LinearMap::dense(shapes[l][0], shapes[l + 1][0]);
    layers_.emplace_back(net.layer, map, offsets.layers[l], parameters, context_size);
  }
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
    const std::size_t size = map.size_out(), plane = map.plane_out();
    const LayerAt& layer = at[l];
    LayerTape& kept = tape.layers[l];

    kept.input = columns;
    kept.product.resize(columns.size());
    for (std::size_t k = 0; k < columns.size(); ++k) {
      kept.product[k].resize(size);
      map.apply(layer.weight, columns[k], kept.product[k]);
      columns[k].resize(size);
    }
    kept.before.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
      kept.product[0][i] += layer.bias[i / plane];
      kept.before[i] = layer.gate[i / plane] * kept.product[0][i] + layer.shift[i];
    }

    const bool last = l + 1 == depth();
    for (std::size_t i = 0; i < size; ++i) {
      const double z = kept.before[i];
      columns[0][i] = last ? z : activate(activation_, z, layer.beta);
      if (columns.size() == 1) continue;
      const double factor = (last ? 1 : slope(activation_, z, layer.beta)) * layer.gate[i / plane];
      for (std::size_t k = 1; k < columns.size(); ++k) columns[k][i] = factor * kept.product[k][i];
    }
  }
}

void Network::pull_activation(const LayerAt& at, const LayerTape& tape, std::size_t plane,
                              const Vector* slope_bar, Columns& bars, LayerAt& at_bar) const {
  for (std::size_t i = 0; i < tape.before.size(); ++i) {
    const double z = tape.before[i];
    const double first = slope(activation_, z, at.beta);
    double first_bar = slope_bar ? (*slope_bar)[i] : 0;  // cotangent of σ'(z): Σ_k u_k ǡ_k
    for (std::size_t k = 1; k < bars.size(); ++k) {
      first_bar += at.gate[i / plane] * tape.product[k][i] * bars[k][i];
      bars[k][i] *= first;
    }
    if (activation_ == Activation::Swish)
      at_bar.beta += swish_value_by_beta(z, at.beta) * bars[0][i] +
                     swish_slope_by_beta(z, at.beta) * first_bar;
    bars[0][i] = first * bars[0][i] + curvature(activation_, z, at.beta) * first_bar;
  }
}

void Network::pull_layer(const Layer& layer, const LayerAt& at, const LayerTape& tape,
                         Columns& bars, LayerAt& at_bar) const {
  const LinearMap& map = layer.map();
  const std::size_t plane = map.plane_out();
  for (std::size_t k = 0; k < bars.size(); ++k) {
    Vector& bar = bars[k];
    for (std::size_t i = 0; i < bar.size(); ++i) {
      const std::size_t channel = i / plane;
      at_bar.gate[channel] += bar[i] * tape.product[k][i];
      if (k == 0) at_bar.shift[i] += bar[i];
      bar[i] *= at.gate[channel];
      if (k == 0) at_bar.bias[channel] += bar[i];
    }
    map.add_weight_gradient(bar, tape.input[k], at_bar.weight);
    Vector input_bar(map.size_in());
    map.apply_transpose(at.weight, bar, input_bar);
    bar = std::move(input_bar);
  }
}

Columns Network::pull(const std::vector<LayerAt>& at, const RowTape& tape, Columns output_bars,
                      const std::vector<Vector>& slope_bars, std::vector<LayerAt>& bars,
                      LayerRange range) const {
  Columns columns = std::move(output_bars);
  for (std::size_t l = range.end; l-- > range.first;) {
    if (l + 1 < depth())
      pull_activation(at[l], tape.layers[l], layers_[l].map().plane_out(),
                      slope_bars.empty() ? nullptr : &slope_bars[l], columns, bars[l]);
    pull_layer(layers_[l], at[l], tape.layers[l], columns, bars[l]);
  }
  return columns;
}

Vector Network::vector_jacobian(const std::vector<LayerAt>& at, const RowTape& tape,
                                View eps) const {
  Vector bar(eps.begin(), eps.end());
  for (std::size_t l = depth(); l-- > 0;) {
    const LinearMap& map = layers_[l].map();
    const Vector factor = l + 1 < depth() ? slopes(at, tape, l) : Vector(bar.size(), 1.0);
    for (std::size_t i = 0; i < bar.size(); ++i)
      bar[i] *= factor[i] * at[l].gate[i / map.plane_out()];
    Vector input_bar(map.size_in());
    map.apply_transpose(at[l].weight, bar, input_bar);
    bar = std::move(input_bar);
  }
  return bar;
}

Vector Network::slopes(const std::vector<LayerAt>& at, const RowTape& tape, std::size_t l) const {
  Vector values(tape.layers[l].before);
  for (double& value : values) value = slope(activation_, value, at[l].beta);
  return values;
}

}  // namespace ffjord::reference
