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

// One tensor in the engine's precision; scalars are rounded once. `decay` is the weight decay that
// acts on it, `scale` the clipping factor. The switch is outside the loop for the compiler's sake.
template <class Real>
void update(const OptimizerOptions& o, double decay_rate, double clip_scale,
            std::span<const Real> gradient, std::span<Real> weight, std::span<Real> first,
            std::span<Real> second) {
  const Real decay(decay_rate), scale(clip_scale), rate(o.learning_rate), epsilon(o.epsilon);
  const Real beta1(o.beta1), beta2(o.beta2), momentum(o.momentum);
  const Real rest1(1 - o.beta1), rest2(1 - o.beta2);
  const Real correction1(1 / (1 - std::pow(o.beta1, o.step)));
  const Real correction2(1 / (1 - std::pow(o.beta2, o.step)));
  const bool decoupled = o.type == OptimizerType::AdamW;
  const auto each = [&](auto move) {
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const Real w = weight[i];
      const Real g = scale * gradient[i] + (decoupled ? 0 : decay * w);
      weight[i] = (decoupled ? w - rate * decay * w : w) - move(g, first[i], second[i]);
    }
  };
  switch (o.type) {
    case OptimizerType::Adam:   // Kingma and Ba 2015, algorithm 1
    case OptimizerType::AdamW:  // Loshchilov and Hutter 2019, algorithm 2
      return each([=](Real g, Real& m, Real& v) {
        m = beta1 * m + rest1 * g;
        v = beta2 * v + rest2 * g * g;
        return rate * (m * correction1) / (std::sqrt(v * correction2) + epsilon);
      });
    case OptimizerType::Adamax:  // Kingma and Ba 2015, algorithm 2
      return each([=](Real g, Real& m, Real& v) {
        m = beta1 * m + rest1 * g;
        v = std::max(beta2 * v, std::abs(g) + epsilon);
        return rate * correction1 * m / v;
      });
    case OptimizerType::Sgd:
      return each([=](Real g, Real& m, Real&) {
        m = momentum * m + g;
        return rate * m;
      });
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
