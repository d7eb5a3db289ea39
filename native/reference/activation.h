// The nonlinearities and the derivatives that a pass and its pullback need, as PyTorch defines
// them: softplus is linear above 20, relu has slope 0 at 0, elu has slope and curvature 1 at 0.
#pragma once

#include <cmath>

#include "core/flow_description.h"

namespace ffjord::reference {

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

inline constexpr double kSoftplusThreshold = 20;

/// σ(x); `beta` is swish's.
inline double activate(Activation activation, double x, double beta) {
  switch (activation) {
    case Activation::Tanh:
      return std::tanh(x);
    case Activation::Softplus:
      return x > kSoftplusThreshold ? x : std::log1p(std::exp(x));
    case Activation::Elu:
      return x > 0 ? x : std::expm1(x);
    case Activation::Relu:
      return x > 0 ? x : 0;
    case Activation::Swish:
      return x * sigmoid(beta * x);
    case Activation::Square:
      return x * x;
    case Activation::Identity:
      break;
  }
  return x;
}

/// σ'(x)
inline double slope(Activation activation, double x, double beta) {
  switch (activation) {
    case Activation::Tanh: {
      const double y = std::tanh(x);
      return 1 - y * y;
    }
    case Activation::Softplus:
      return x > kSoftplusThreshold ? 1 : sigmoid(x);
    case Activation::Elu:
      return x > 0 ? 1 : std::exp(x);
    case Activation::Relu:
      return x > 0 ? 1 : 0;
    case Activation::Swish: {
      const double s = sigmoid(beta * x);
      return s + beta * x * s * (1 - s);
    }
    case Activation::Square:
      return 2 * x;
    case Activation::Identity:
      break;
  }
  return 1;
}

/// σ''(x)
inline double curvature(Activation activation, double x, double beta) {
  switch (activation) {
    case Activation::Tanh: {
      const double y = std::tanh(x);
      return -2 * y * (1 - y * y);
    }
    case Activation::Softplus: {
      const double s = sigmoid(x);
      return x < kSoftplusThreshold ? s * (1 - s) : 0;
    }
    case Activation::Elu:
      return x > 0 ? 0 : std::exp(x);
    case Activation::Swish: {
      const double s = sigmoid(beta * x);
      return beta * s * (1 - s) * (2 + beta * x * (1 - 2 * s));
    }
    case Activation::Square:
      return 2;
    case Activation::Relu:
    case Activation::Identity:
      break;
  }
  return 0;
}

/// ∂σ/∂β of swish
inline double swish_value_by_beta(double x, double beta) {
  const double s = sigmoid(beta * x);
  return x * x * s * (1 - s);
}

/// ∂σ'/∂β of swish
inline double swish_slope_by_beta(double x, double beta) {
  const double s = sigmoid(beta * x);
  return x * s * (1 - s) * (2 + beta * x * (1 - 2 * s));
}

}  // namespace ffjord::reference
