// How one weight moves: Adam, AdamW, Adamax and SGD, clipping by norm, an average of the weights.
// Templates and constexpr for the same reason as step_rule.h: a device moves its weights by the
// same lines.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/optimizer_options.h"

namespace ffjord {

/// The options in the engine's precision, rounded once.
template <class Real>
struct UpdateRule {
  explicit UpdateRule(const OptimizerOptions& o)
      : rate(o.learning_rate),
        epsilon(o.epsilon),
        beta1(o.beta1),
        beta2(o.beta2),
        rest1(1 - o.beta1),
        rest2(1 - o.beta2),
        correction1(1 / (1 - std::pow(o.beta1, o.step))),
        correction2(1 / (1 - std::pow(o.beta2, o.step))),
        momentum(o.momentum) {}

  Real rate, epsilon, beta1, beta2, rest1, rest2, correction1, correction2, momentum;

  /// Moves `weight` against `gradient`, which `scale` clips; `decay` is the weight decay that acts
  /// on it.
  template <OptimizerType type>
  constexpr void update(Real gradient, Real scale, Real decay, Real& weight, Real& first,
                        Real& second) const {
    constexpr bool decoupled = type == OptimizerType::AdamW;
    const Real w = weight;
    const Real g = scale * gradient + (decoupled ? 0 : decay * w);
    weight = (decoupled ? w - rate * decay * w : w) - move<type>(g, first, second);
  }

 private:
  template <OptimizerType type>
  constexpr Real move(Real g, Real& m, Real& v) const {
    if constexpr (type == OptimizerType::Sgd) {
      m = momentum * m + g;
      return rate * m;
    } else if constexpr (type == OptimizerType::Adamax) {  // Kingma and Ba 2015, algorithm 2
      m = beta1 * m + rest1 * g;
      v = std::max(beta2 * v, std::abs(g) + epsilon);
      return rate * correction1 * m / v;
    } else {  // Adam: algorithm 1; AdamW: Loshchilov and Hutter 2019, algorithm 2
      m = beta1 * m + rest1 * g;
      v = beta2 * v + rest2 * g * g;
      return rate * (m * correction1) / (std::sqrt(v * correction2) + epsilon);
    }
  }
};

/// Calls `call` with the type as a constant.
template <class Call>
void with_type(OptimizerType type, const Call& call) {
  switch (type) {
    case OptimizerType::Adam:
      return call(std::integral_constant<OptimizerType, OptimizerType::Adam>());
    case OptimizerType::AdamW:
      return call(std::integral_constant<OptimizerType, OptimizerType::AdamW>());
    case OptimizerType::Adamax:
      return call(std::integral_constant<OptimizerType, OptimizerType::Adamax>());
    case OptimizerType::Sgd:
      return call(std::integral_constant<OptimizerType, OptimizerType::Sgd>());
  }
}

/// What gradients of this norm are scaled by; `clip_norm` 0: no clipping.
constexpr double clip_scale(double clip_norm, double norm) {
  return clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1.0;
}

template <class Real>
constexpr Real moved_average(double decay, Real average, Real weight) {
  return static_cast<Real>(decay * average + (1 - decay) * weight);
}

}  // namespace ffjord
