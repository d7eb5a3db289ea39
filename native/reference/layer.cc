#include "reference/layer.h"

#include <algorithm>
#include <cmath>

#include "reference/activation.h"
#include "reference/linear_map.h"

namespace ffjord::reference {

namespace {

constexpr std::size_t kHyperWidth = kHypernetUnits;

Vector copy(View values) { return Vector(values.begin(), values.end()); }

}  // namespace

LayerAt LayerAt::zeros() const {
  return {Vector(weight.size()), Vector(bias.size()), Vector(gate.size()), Vector(shift.size()), 0};
}

Layer::Layer(const LayerPlan& plan, View parameters, std::size_t context_size)
    : plan_(plan),
      plane_map_(plan.map.with_channels_in(plan.planes())),
      values_(parameters),
      context_size_(context_size) {}

Layer::StoredWeight Layer::stored_weight() const {
  const std::size_t out = plan_.out(), taps = map().taps();
  const std::size_t inputs = plan_.in() * taps, planes = plan_.planes() * taps;
  const bool planes_first = plan_.first_plane() == 0;
  if (map().transposed()) return {1, inputs * out, planes * out, planes_first};
  return {out, inputs, planes, planes_first};
}

void Layer::split_planes(Vector& plane_weight, Vector& weight) const {
  const StoredWeight stored = stored_weight();
  const double* source = values_.data() + offsets().weight;
  const auto take = [&](Vector& target, std::size_t count) {
    target.insert(target.end(), source, source + count);
    source += count;
  };
  for (std::size_t group = 0; group < stored.groups; ++group) {
    if (stored.planes_first) take(plane_weight, stored.planes);
    take(weight, stored.inputs);
    if (!stored.planes_first) take(plane_weight, stored.planes);
  }
}

void Layer::join_planes(View plane_bar, View weight_bar, Target stored_bar) const {
  const StoredWeight stored = stored_weight();
  double* target = stored_bar.data();
  const double *of_planes = plane_bar.data(), *of_inputs = weight_bar.data();
  const auto give = [&](const double*& source, std::size_t count) {
    add_scaled(1, source, target, count);
    source += count;
    target += count;
  };
  for (std::size_t group = 0; group < stored.groups; ++group) {
    if (stored.planes_first) give(of_planes, stored.planes);
    give(of_inputs, stored.inputs);
    if (!stored.planes_first) give(of_planes, stored.planes);
  }
}

Vector Layer::planes(double t, bool coordinates) const {
  const Plane& plane = map().plane_in;
  Vector planes(plane_map_.size_in());
  std::fill_n(planes.begin(), plane.size(), t);
  if (!coordinates || plan_.planes() == 1) return planes;
  double* rows = planes.data() + plane.size();
  double* columns = rows + plane.size();
  for (int y = 0; y < plane.height; ++y)
    for (int x = 0; x < plane.width; ++x) {
      *rows++ = y;
      *columns++ = x;
    }
  return planes;
}

Vector Layer::shift_of(const Vector& plane_weight, const Vector& planes) const {
  Vector shift(plane_map_.size_out());
  apply(plane_map_, plane_weight, planes, shift);
  return shift;
}

Vector Layer::hyper_hidden(double t) const {
  Vector hidden(kHyperWidth);
  for (std::size_t i = 0; i < kHyperWidth; ++i)
    hidden[i] =
        std::tanh(values_[offsets().hyper0_weight + i] * t + values_[offsets().hyper0_bias + i]);
  return hidden;
}

double Layer::gate_logit(double t, View context, std::size_t channel) const {
  double logit =
      values_[offsets().gate_weight + channel] * t + values_[offsets().gate_bias + channel];
  if (offsets().context_gate != kAbsent)
    logit += dot(context_row(offsets().context_gate, channel), context);
  return logit;
}

void Layer::pull_context(std::size_t offset, std::size_t channel, double bar, View context,
                         Target gradients, Target context_bar) const {
  add_scaled(bar, context, gradients.subspan(offset + channel * context_size_, context_size_));
  add_scaled(bar, context_row(offset, channel), context_bar);
}

// b + β and W + (U V)ᵀ, W (out, in).
void Layer::add_amortised(View context, LayerAt& layer) const {
  const AmortisedTerms& terms = plan_.amortised;
  const std::size_t in = plan_.in(), out = channels(), rank = terms.rank;
  if (terms.bias == kAbsent) return;
  add_scaled(1, context.subspan(terms.bias, out), layer.bias);
  for (std::size_t o = 0; o < out; ++o)
    for (std::size_t i = 0; i < in; ++i)
      for (std::size_t k = 0; k < rank; ++k)
        layer.weight[o * in + i] +=
            context[terms.left + i * rank + k] * context[terms.right + k * out + o];
}

void Layer::pull_amortised(View context, const LayerAt& bar, Target context_bar) const {
  const AmortisedTerms& terms = plan_.amortised;
  const std::size_t in = plan_.in(), out = channels(), rank = terms.rank;
  if (terms.bias == kAbsent) return;
  add_scaled(1, bar.bias, context_bar.subspan(terms.bias, out));
  for (std::size_t o = 0; o < out; ++o)
    for (std::size_t i = 0; i < in; ++i)
      for (std::size_t k = 0; k < rank; ++k) {
        const std::size_t left = terms.left + i * rank + k, right = terms.right + k * out + o;
        context_bar[left] += bar.weight[o * in + i] * context[right];
        context_bar[right] += bar.weight[o * in + i] * context[left];
      }
}

LayerAt Layer::at(double t, View context) const {
  const std::size_t out = channels(), plane = map().plane_out.size(), count = map().weight_count();
  LayerAt layer;
  layer.gate.assign(out, 1.0);
  layer.shift.assign(map().size_out(), 0.0);
  if (offsets().beta != kAbsent) layer.beta = values_[offsets().beta];

  if (plan_.planes() > 0) {
    Vector plane_weight;
    split_planes(plane_weight, layer.weight);
    layer.shift = shift_of(plane_weight, planes(t, true));
    layer.bias = copy(range(offsets().bias, out));
  } else if (plan_.expanded()) {
    layer.weight = copy(range(offsets().weight, count));
    layer.bias = copy(range(offsets().bias, out));
    const View weight1 = range(offsets().weight1, count), bias1 = range(offsets().bias1, out);
    for (std::size_t i = 0; i < count; ++i) layer.weight[i] += (weight1[i] - layer.weight[i]) * t;
    for (std::size_t i = 0; i < out; ++i) layer.bias[i] += (bias1[i] - layer.bias[i]) * t;
  } else if (plan_.hyper()) {
    const Vector hidden = hyper_hidden(t);
    Vector generated = copy(range(offsets().hyper2_bias, out + count));  // b, then W
    for (std::size_t i = 0; i < generated.size(); ++i)
      generated[i] += dot(hidden, range(offsets().hyper2_weight + i * kHyperWidth, kHyperWidth));
    layer.bias.assign(generated.begin(), generated.begin() + out);
    layer.weight.assign(generated.begin() + out, generated.end());
  } else {
    layer.weight = copy(range(offsets().weight, count));
    layer.bias = copy(range(offsets().bias, out));
  }
  if (offsets().context != kAbsent)
    for (std::size_t i = 0; i < out; ++i)
      layer.bias[i] += dot(context_row(offsets().context, i), context);
  add_amortised(context, layer);
  if (plan_.gated())
    for (std::size_t i = 0; i < out; ++i) layer.gate[i] = sigmoid(gate_logit(t, context, i));
  if (plan_.shifted())
    for (std::size_t i = 0; i < layer.shift.size(); ++i)
      layer.shift[i] = values_[offsets().shift + i / plane] * t;
  return layer;
}

double Layer::pullback(double t, View context, const LayerAt& bar, Target gradients,
                       Target context_bar) const {
  const std::size_t out = channels(), plane = map().plane_out.size(), count = map().weight_count();
  double t_bar = 0;
  if (offsets().beta != kAbsent) gradients[offsets().beta] += bar.beta;

  if (plan_.planes() > 0) {
    Vector plane_weight, weight;
    split_planes(plane_weight, weight);
    t_bar += dot(bar.shift, shift_of(plane_weight, planes(1, false)));
    Vector plane_bar(plane_weight.size());
    add_weight_gradient(plane_map_, bar.shift, planes(t, true), plane_bar);
    join_planes(plane_bar, bar.weight,
                gradients.subspan(offsets().weight, plane_bar.size() + bar.weight.size()));
    add_scaled(1, bar.bias, gradients.subspan(offsets().bias, out));
  } else if (plan_.expanded()) {
    add_scaled(1 - t, bar.weight, gradients.subspan(offsets().weight, count));
    add_scaled(t, bar.weight, gradients.subspan(offsets().weight1, count));
    add_scaled(1 - t, bar.bias, gradients.subspan(offsets().bias, out));
    add_scaled(t, bar.bias, gradients.subspan(offsets().bias1, out));
    t_bar += dot(bar.weight, range(offsets().weight1, count)) -
             dot(bar.weight, range(offsets().weight, count)) +
             dot(bar.bias, range(offsets().bias1, out)) - dot(bar.bias, range(offsets().bias, out));
  } else if (plan_.hyper()) {
    const Vector hidden = hyper_hidden(t);
    Vector generated_bar = bar.bias;
    generated_bar.insert(generated_bar.end(), bar.weight.begin(), bar.weight.end());
    Vector hidden_bar(kHyperWidth);
    for (std::size_t i = 0; i < generated_bar.size(); ++i) {
      const std::size_t row = offsets().hyper2_weight + i * kHyperWidth;
      add_scaled(generated_bar[i], hidden, gradients.subspan(row, kHyperWidth));
      add_scaled(generated_bar[i], range(row, kHyperWidth), hidden_bar);
      gradients[offsets().hyper2_bias + i] += generated_bar[i];
    }
    for (std::size_t i = 0; i < kHyperWidth; ++i) {
      const double before_bar = (1 - hidden[i] * hidden[i]) * hidden_bar[i];
      gradients[offsets().hyper0_weight + i] += t * before_bar;
      gradients[offsets().hyper0_bias + i] += before_bar;
      t_bar += values_[offsets().hyper0_weight + i] * before_bar;
    }
  } else {
    add_scaled(1, bar.weight, gradients.subspan(offsets().weight, count));
    add_scaled(1, bar.bias, gradients.subspan(offsets().bias, out));
  }
  if (offsets().context != kAbsent)
    for (std::size_t i = 0; i < out; ++i)
      pull_context(offsets().context, i, bar.bias[i], context, gradients, context_bar);
  pull_amortised(context, bar, context_bar);
  if (plan_.gated())
    for (std::size_t i = 0; i < out; ++i) {
      const double a = values_[offsets().gate_weight + i];
      const double g = sigmoid(gate_logit(t, context, i));
      const double before_bar = g * (1 - g) * bar.gate[i];
      if (offsets().context_gate != kAbsent)
        pull_context(offsets().context_gate, i, before_bar, context, gradients, context_bar);
      gradients[offsets().gate_weight + i] += t * before_bar;
      gradients[offsets().gate_bias + i] += before_bar;
      t_bar += a * before_bar;
    }
  if (plan_.shifted())
    for (std::size_t i = 0; i < bar.shift.size(); ++i) {
      gradients[offsets().shift + i / plane] += t * bar.shift[i];
      t_bar += values_[offsets().shift + i / plane] * bar.shift[i];
    }
  return t_bar;
}

}  // namespace ffjord::reference
