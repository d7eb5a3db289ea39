// Adam, AdamW, Adamax and SGD on flat buffers, with clipping by norm and an average of the weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "core/optimizer_options.h"
#include "core/parameters.h"

namespace ffjord {

/// Moments and average, as long as the parameters; empty until the first step asks for them.
template <class Real>
struct OptimizerState {
  std::vector<Real> first, second, average;
};

/// ‖g‖₂ over trainable parameters, summed in float64.
template <class Real>
double gradient_norm(const ParameterLayout& layout, std::span<const Real> gradients) {
  double sum = 0;
  for (const Parameter& parameter : layout.parameters) {
    if (!parameter.trainable) continue;
    for (Real g : gradients.subspan(parameter.offset, parameter.size)) sum += double(g) * double(g);
  }
  return std::sqrt(sum);
}

namespace detail {

// One tensor. `decay` is the weight decay that acts on it, `scale` the clipping factor.
template <class Real>
void update(const OptimizerOptions& o, double decay, double scale, std::span<const Real> gradient,
            std::span<Real> weight, std::span<Real> first, std::span<Real> second) {
  const double correction1 = 1 - std::pow(o.beta1, o.step);
  const double correction2 = 1 - std::pow(o.beta2, o.step);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    double w = weight[i], g = scale * gradient[i], m = first[i], v = second[i];
    if (o.type == OptimizerType::AdamW)
      w -= o.learning_rate * decay * w;
    else
      g += decay * w;
    switch (o.type) {
      case OptimizerType::Adam:   // Kingma and Ba 2015, algorithm 1
      case OptimizerType::AdamW:  // Loshchilov and Hutter 2019, algorithm 2
        m = o.beta1 * m + (1 - o.beta1) * g;
        v = o.beta2 * v + (1 - o.beta2) * g * g;
        w -= o.learning_rate * (m / correction1) / (std::sqrt(v / correction2) + o.epsilon);
        break;
      case OptimizerType::Adamax:  // Kingma and Ba 2015, algorithm 2
        m = o.beta1 * m + (1 - o.beta1) * g;
        v = std::max(o.beta2 * v, std::abs(g) + o.epsilon);
        w -= o.learning_rate / correction1 * m / v;
        break;
      case OptimizerType::Sgd:
        m = o.momentum * m + g;
        w -= o.learning_rate * m;
        break;
    }
    weight[i] = static_cast<Real>(w);
    first[i] = static_cast<Real>(m);
    second[i] = static_cast<Real>(v);
  }
}

}  // namespace detail

/// Moves the parameters along −gradients; returns the norm of the gradients before clipping.
template <class Real>
double optimizer_step(const OptimizerOptions& options, const ParameterLayout& layout,
                      std::span<const Real> gradients, std::span<Real> parameters,
                      OptimizerState<Real>& state) {
  const std::size_t count = layout.parameter_count;
  if (state.first.size() != count) state.first.assign(count, Real(0));
  if (state.second.size() != count) state.second.assign(count, Real(0));

  const double norm = gradient_norm(layout, gradients);
  const double scale =
      options.clip_norm > 0 && norm > options.clip_norm ? options.clip_norm / norm : 1.0;
  for (const Parameter& p : layout.parameters) {
    if (!p.trainable) continue;
    const double decay = p.role == Role::Weight ? options.weight_decay : 0;
    detail::update<Real>(options, decay, scale, gradients.subspan(p.offset, p.size),
                         parameters.subspan(p.offset, p.size),
                         std::span(state.first).subspan(p.offset, p.size),
                         std::span(state.second).subspan(p.offset, p.size));
  }
  if (options.average_decay > 0) {
    if (state.average.size() != count) state.average.assign(parameters.begin(), parameters.end());
    for (std::size_t i = 0; i < count; ++i)
      state.average[i] = static_cast<Real>(options.average_decay * state.average[i] +
                                           (1 - options.average_decay) * parameters[i]);
  }
  return norm;
}

}  // namespace ffjord
