// The standard normal law on (−τ, τ), τ = 3: noise that dequantises levels and comes to nothing at
// the borders between two of them (Zheng et al. 2023, appendix on truncated-normal dequantisation).
// Constexpr, and a template where it calls <cmath>, for the same reason as philox.h.
#pragma once

#include <cmath>
#include <numbers>

namespace ffjord {

inline constexpr double kTruncation = 3;

/// Where this law's cumulative probability is u, for u in (0, 1).
///
/// erf(x) = v is solved for v = (2u − 1) erf(τ/√2): a closed form that is right to 0.2 %
/// (Winitzki 2008), then two of Halley's steps, each of which cubes the error.
template <class Double = double>
constexpr Double truncated_normal(double u) {
  constexpr double a = 0.147;
  const Double v = (2 * Double(u) - 1) * std::erf(Double(kTruncation / std::numbers::sqrt2));
  const Double log = std::log((1 - v) * (1 + v)), half = 2 / (std::numbers::pi * a) + log / 2;
  Double x = std::copysign(std::sqrt(std::sqrt(half * half - log / a) - half), v);
  for (int step = 0; step < 2; ++step) {
    // Of g(x) = erf(x) − v: Newton's step g / g', and g'' / g' = −2x.
    const Double newton =
        (std::erf(x) - v) * std::exp(x * x) / (2 * Double(std::numbers::inv_sqrtpi));
    x -= newton / (1 + x * newton);
  }
  return std::numbers::sqrt2 * x;
}

}  // namespace ffjord
