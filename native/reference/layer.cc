#include "reference/layer.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "reference/activation.h"

namespace ffjord::reference {

namespace {

constexpr std::size_t kHyperWidth = 8;  // Linear(1 → 8), tanh, Linear(8 → out·in + out)

Vector copy(View values) { return Vector(values.begin(), values.end()); }

}  // namespace

LayerAt LayerAt::zeros() const {
  return {Vector(weight.size()), Vector(bias.size()), Vector(gate.size()), Vector(shift.size()), 0};
}

Layer::Layer(LayerKind kind, const LinearMap& map, const LayerOffsets& offsets, View parameters,
             std::size_t context_size)
    : kind_(kind),
      map_(map),
      time_map_(map.with_channels_in(1)),
      offsets_(offsets),
      values_(parameters),
      context_size_(context_size) {
  if (kind == LayerKind::Hyper && map.taps() > 1)
    throw Error(ErrorCode::Unsupported,
                "hyper layers are dense only; use concatsquash in a convolutional net");
}

Layer::TimeSplit Layer::time_split() const {
  const std::size_t in = map_.channels_in(), out = map_.channels_out(), taps = map_.taps();
  if (map_.transposed()) return {1, out * taps, in * out * taps};
  return {out, taps, in * taps};
}

void Layer::split_time(Vector& time_weight, Vector& weight) const {
  const TimeSplit split = time_split();
  const double* source = values_.data() + offsets_.weight;
  for (std::size_t group = 0; group < split.groups; ++group) {
    time_weight.insert(time_weight.end(), source, source + split.time);
    source += split.time;
    weight.insert(weight.end(), source, source + split.rest);
    source += split.rest;
  }
}

// W's t channel applied to a plane of ones; times t it is what concatenating t adds.
Vector Layer::time_plane(const Vector& time_weight) const {
  const Vector ones(time_map_.size_in(), 1.0);
  Vector plane(time_map_.size_out());
  time_map_.apply(time_weight, ones, plane);
  return plane;
}

Vector Layer::hyper_hidden(double t) const {
  Vector hidden(kHyperWidth);
  for (std::size_t i = 0; i < kHyperWidth; ++i)
    hidden[i] =
        std::tanh(values_[offsets_.hyper0_weight + i] * t + values_[offsets_.hyper0_bias + i]);
  return hidden;
}

double Layer::gate_logit(double t, View context, std::size_t channel) const {
  double logit =
      values_[offsets_.gate_weight + channel] * t + values_[offsets_.gate_bias + channel];
  if (offsets_.context_gate != kAbsent)
    logit += dot(context_row(offsets_.context_gate, channel), context);
  return logit;
}

void Layer::pull_context(std::size_t offset, std::size_t channel, double bar, View context,
                         Target gradients, Target context_bar) const {
  add_scaled(bar, context, gradients.subspan(offset + channel * context_size_, context_size_));
  add_scaled(bar, context_row(offset, channel), context_bar);
}

LayerAt Layer::at(double t, View context) const {
  const std::size_t out = channels(), plane = map_.plane_out(), count = map_.weight_count();
  LayerAt layer;
  layer.gate.assign(out, 1.0);
  layer.shift.assign(map_.size_out(), 0.0);
  if (offsets_.beta != kAbsent) layer.beta = values_[offsets_.beta];

  switch (kind_) {
    case LayerKind::Concat: {
      Vector time_weight;
      split_time(time_weight, layer.weight);
      add_scaled(t, time_plane(time_weight), layer.shift);
      layer.bias = copy(range(offsets_.bias, out));
      break;
    }
    case LayerKind::Blend: {
      layer.weight = copy(range(offsets_.weight, count));
      layer.bias = copy(range(offsets_.bias, out));
      const View weight1 = range(offsets_.weight1, count), bias1 = range(offsets_.bias1, out);
      for (std::size_t i = 0; i < count; ++i) layer.weight[i] += (weight1[i] - layer.weight[i]) * t;
      for (std::size_t i = 0; i < out; ++i) layer.bias[i] += (bias1[i] - layer.bias[i]) * t;
      break;
    }
    case LayerKind::Hyper: {
      const Vector hidden = hyper_hidden(t);
      Vector generated = copy(range(offsets_.hyper2_bias, out + count));  // b, then W
      for (std::size_t i = 0; i < generated.size(); ++i)
        generated[i] += dot(hidden, range(offsets_.hyper2_weight + i * kHyperWidth, kHyperWidth));
      layer.bias.assign(generated.begin(), generated.begin() + out);
      layer.weight.assign(generated.begin() + out, generated.end());
      break;
    }
    default:
      layer.weight = copy(range(offsets_.weight, count));
      layer.bias = copy(range(offsets_.bias, out));
  }
  if (offsets_.context != kAbsent)
    for (std::size_t i = 0; i < out; ++i)
      layer.bias[i] += dot(context_row(offsets_.context, i), context);
  if (gated())
    for (std::size_t i = 0; i < out; ++i) layer.gate[i] = sigmoid(gate_logit(t, context, i));
  if (shifted())
    for (std::size_t i = 0; i < layer.shift.size(); ++i)
      layer.shift[i] = values_[offsets_.shift + i / plane] * t;
  return layer;
}

double Layer::pullback(double t, View context, const LayerAt& bar, Target gradients,
                       Target context_bar) const {
  const std::size_t out = channels(), plane = map_.plane_out(), count = map_.weight_count();
  double t_bar = 0;
  if (offsets_.beta != kAbsent) gradients[offsets_.beta] += bar.beta;

  switch (kind_) {
    case LayerKind::Concat: {
      Vector time_weight, weight;
      split_time(time_weight, weight);
      t_bar += dot(bar.shift, time_plane(time_weight));
      Vector time_bar(time_weight.size());
      time_map_.add_weight_gradient(bar.shift, Vector(time_map_.size_in(), t), time_bar);
      const TimeSplit split = time_split();
      double* target = gradients.data() + offsets_.weight;
      for (std::size_t group = 0; group < split.groups; ++group) {
        add_scaled(1, time_bar.data() + group * split.time, target, split.time);
        target += split.time;
        add_scaled(1, bar.weight.data() + group * split.rest, target, split.rest);
        target += split.rest;
      }
      add_scaled(1, bar.bias, gradients.subspan(offsets_.bias, out));
      break;
    }
    case LayerKind::Blend: {
      add_scaled(1 - t, bar.weight, gradients.subspan(offsets_.weight, count));
      add_scaled(t, bar.weight, gradients.subspan(offsets_.weight1, count));
      add_scaled(1 - t, bar.bias, gradients.subspan(offsets_.bias, out));
      add_scaled(t, bar.bias, gradients.subspan(offsets_.bias1, out));
      t_bar += dot(bar.weight, range(offsets_.weight1, count)) -
               dot(bar.weight, range(offsets_.weight, count)) +
               dot(bar.bias, range(offsets_.bias1, out)) - dot(bar.bias, range(offsets_.bias, out));
      break;
    }
    case LayerKind::Hyper: {
      const Vector hidden = hyper_hidden(t);
      Vector generated_bar = bar.bias;
      generated_bar.insert(generated_bar.end(), bar.weight.begin(), bar.weight.end());
      Vector hidden_bar(kHyperWidth);
      for (std::size_t i = 0; i < generated_bar.size(); ++i) {
        const std::size_t row = offsets_.hyper2_weight + i * kHyperWidth;
        add_scaled(generated_bar[i], hidden, gradients.subspan(row, kHyperWidth));
        add_scaled(generated_bar[i], range(row, kHyperWidth), hidden_bar);
        gradients[offsets_.hyper2_bias + i] += generated_bar[i];
      }
      for (std::size_t i = 0; i < kHyperWidth; ++i) {
        const double before_bar = (1 - hidden[i] * hidden[i]) * hidden_bar[i];
        gradients[offsets_.hyper0_weight + i] += t * before_bar;
        gradients[offsets_.hyper0_bias + i] += before_bar;
        t_bar += values_[offsets_.hyper0_weight + i] * before_bar;
      }
      break;
    }
    default:
      add_scaled(1, bar.weight, gradients.subspan(offsets_.weight, count));
      add_scaled(1, bar.bias, gradients.subspan(offsets_.bias, out));
  }
  if (offsets_.context != kAbsent)
    for (std::size_t i = 0; i < out; ++i)
      pull_context(offsets_.context, i, bar.bias[i], context, gradients, context_bar);
  if (gated())
    for (std::size_t i = 0; i < out; ++i) {
      const double a = values_[offsets_.gate_weight + i];
      const double g = sigmoid(gate_logit(t, context, i));
      const double before_bar = g * (1 - g) * bar.gate[i];
      if (offsets_.context_gate != kAbsent)
        pull_context(offsets_.context_gate, i, before_bar, context, gradients, context_bar);
      gradients[offsets_.gate_weight + i] += t * before_bar;
      gradients[offsets_.gate_bias + i] += before_bar;
      t_bar += a * before_bar;
    }
  if (shifted())
    for (std::size_t i = 0; i < bar.shift.size(); ++i) {
      gradients[offsets_.shift + i / plane] += t * bar.shift[i];
      t_bar += values_[offsets_.shift + i / plane] * bar.shift[i];
    }
  return t_bar;
}

std::vector<ParameterRange> Layer::parameters() const {
  const std::size_t out = channels(), count = map_.weight_count();
  const std::size_t time_count = kind_ == LayerKind::Concat ? time_map_.weight_count() : 0;
  std::vector<ParameterRange> ranges;
  const auto add = [&](std::size_t offset, std::size_t size) {
    if (offset != kAbsent) ranges.push_back({offset, size});
  };
  add(offsets_.weight, count + time_count);
  add(offsets_.bias, out);
  add(offsets_.weight1, count);
  add(offsets_.bias1, out);
  add(offsets_.gate_weight, out);
  add(offsets_.gate_bias, out);
  add(offsets_.shift, out);
  add(offsets_.context, out * context_size_);
  add(offsets_.context_gate, out * context_size_);
  add(offsets_.hyper0_weight, kHyperWidth);
  add(offsets_.hyper0_bias, kHyperWidth);
  add(offsets_.hyper2_weight, (out + count) * kHyperWidth);
  add(offsets_.hyper2_bias, out + count);
  add(offsets_.beta, 1);
  return ranges;
}

}  // namespace ffjord::reference
