// The blocks without dynamics: elementwise maps, moving batch norm, squeeze and split. Each maps
// rows in place, adds to Δlogp, inverts, and pulls cotangents back. log p(x) = log p(y) − Δlogp, so
// that a map with log|det| ℓ subtracts ℓ in the forward direction and adds it in reverse.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "core/flow_description.h"

namespace ffjord {

/// Rows (B, size) in place with their Δlogp (B).
template <class Real>
struct TransformRows {
  std::size_t batch = 0, size = 0;
  std::span<Real> values;
  std::span<Real> delta_logp;
};

/// An invertible map y = φ(x) of single elements: what a transform needs to say of itself.
template <class Real>
struct ElementMap {
  Real y;                     ///< φ(x)
  Real log_slope;             ///< log φ'(x)
  Real slope;                 ///< φ'(x)
  Real log_slope_derivative;  ///< d log φ'(x) / dx
};

template <class Real>
ElementMap<Real> map_element(const Logit& logit, Real x, std::size_t) {
  const Real a = static_cast<Real>(logit.alpha);
  const Real s = a + (1 - 2 * a) * x;
  const Real slope = (1 - 2 * a) / (s * (1 - s));
  return {std::log(s) - std::log1p(-s), std::log(slope), slope, (2 * s - 1) * slope};
}
template <class Real>
ElementMap<Real> map_element(const ZeroMean&, Real x, std::size_t) {
  return {x - Real(0.5), 0, 1, 0};
}
template <class Real>
ElementMap<Real> map_element(const Standardize& standardize, Real x, std::size_t i) {
  const Real scale = static_cast<Real>(standardize.scale[i]);
  return {(x - static_cast<Real>(standardize.mean[i])) / scale, -std::log(scale), 1 / scale, 0};
}

template <class Real>
ElementMap<Real> map_element(const Support& support, Real x, std::size_t i) {
  const double lower = support.lower[i], upper = support.upper[i];
  const Real above = static_cast<Real>(x - lower), below = static_cast<Real>(upper - x);
  if (std::isinf(lower) && std::isinf(upper)) return {x, 0, 1, 0};
  if (std::isinf(upper)) return {std::log(above), -std::log(above), 1 / above, -1 / above};
  if (std::isinf(lower)) return {-std::log(below), -std::log(below), 1 / below, 1 / below};
  const Real width = static_cast<Real>(upper - lower);
  return {std::log(above) - std::log(below), std::log(width) - std::log(above) - std::log(below),
          width / (above * below), 1 / below - 1 / above};
}

/// Whether φ is defined at x.
template <class Real, class Transform>
bool is_inside(const Transform&, Real, std::size_t) {
  return true;
}
template <class Real>
bool is_inside(const Logit& logit, Real x, std::size_t) {
  const Real a = static_cast<Real>(logit.alpha), s = a + (1 - 2 * a) * x;
  return s > 0 && s < 1;
}
template <class Real>
bool is_inside(const Support& support, Real x, std::size_t i) {
  return static_cast<Real>(x - support.lower[i]) > 0 && static_cast<Real>(support.upper[i] - x) > 0;
}

/// log(1 + eʸ), where eʸ overflows too.
template <class Real>
Real softplus(Real y) {
  return std::max(y, Real(0)) + std::log1p(std::exp(-std::abs(y)));
}

/// x = φ⁻¹(y), which is rounded, and log φ' of the x before that.
template <class Real>
struct Inverse {
  Real x;
  Real log_slope;
};

/// Never where x is outside of the domain, where rounding would put it.
template <class Real>
Inverse<Real> invert_element(const Logit& logit, Real y, std::size_t) {
  const Real a = static_cast<Real>(logit.alpha);
  const Real s = std::clamp(1 / (1 + std::exp(-y)), std::numeric_limits<Real>::min(),
                            1 - std::numeric_limits<Real>::epsilon() / 2);
  Real x = (s - a) / (1 - 2 * a);
  for (int step = 0; step < 64 && !is_inside(logit, x, 0); ++step) x = std::nextafter(x, Real(0.5));
  return {x, std::log1p(-2 * a) + softplus(y) + softplus(-y)};
}
template <class Real>
Inverse<Real> invert_element(const ZeroMean&, Real y, std::size_t) {
  return {y + Real(0.5), 0};
}
template <class Real>
Inverse<Real> invert_element(const Standardize& standardize, Real y, std::size_t i) {
  const Real scale = static_cast<Real>(standardize.scale[i]);
  return {static_cast<Real>(standardize.mean[i]) + y * scale, -std::log(scale)};
}

/// Never an end of the interval, where rounding would put it: the density there is no number.
template <class Real>
Inverse<Real> invert_element(const Support& support, Real y, std::size_t i) {
  const double lower = support.lower[i], upper = support.upper[i];
  if (std::isinf(lower) && std::isinf(upper)) return {y, 0};
  const double decay = std::exp(-std::abs(double(y)));  // no overflow
  const double x = std::isinf(upper)   ? lower + std::exp(double(y))
                   : std::isinf(lower) ? upper - std::exp(-double(y))
                   : y < 0             ? lower + (upper - lower) * (decay / (1 + decay))
                                       : upper - (upper - lower) * (decay / (1 + decay));
  constexpr Real infinity = std::numeric_limits<Real>::infinity();
  Real inside = static_cast<Real>(x);
  if (inside <= lower) inside = std::nextafter(static_cast<Real>(lower), infinity);
  if (inside >= upper) inside = std::nextafter(static_cast<Real>(upper), -infinity);
  if (std::isinf(upper)) return {inside, -y};
  if (std::isinf(lower)) return {inside, y};
  return {inside, softplus(y) + softplus(-y) - static_cast<Real>(std::log(upper - lower))};
}

/// Data → base: y = φ(x), Δlogp −= Σ log φ'.
template <class Real, class Transform>
void apply(const Transform& transform, const TransformRows<Real>& rows) {
  for (std::size_t b = 0; b < rows.batch; ++b) {
    double log_slope = 0;
    for (std::size_t i = 0; i < rows.size; ++i) {
      Real& value = rows.values[b * rows.size + i];
      const auto mapped = map_element(transform, value, i);
      value = mapped.y;
      log_slope += mapped.log_slope;
    }
    rows.delta_logp[b] -= static_cast<Real>(log_slope);
  }
}

/// Base → data: x = φ⁻¹(y), Δlogp += Σ log φ'(x).
template <class Real, class Transform>
void invert(const Transform& transform, const TransformRows<Real>& rows) {
  for (std::size_t b = 0; b < rows.batch; ++b) {
    double log_slope = 0;
    for (std::size_t i = 0; i < rows.size; ++i) {
      Real& value = rows.values[b * rows.size + i];
      const auto [x, log_slope_there] = invert_element(transform, value, i);
      value = x;
      log_slope += log_slope_there;
    }
    rows.delta_logp[b] += static_cast<Real>(log_slope);
  }
}

/// Cotangents of `apply`'s or `invert`'s outputs → of its input, in place. `x` is the data side of
/// the map (B, size): the input of apply, the output of invert. `rows.delta_logp` holds Δlogp's
/// cotangent.
template <class Real, class Transform>
void pull_back(const Transform& transform, bool inverted, std::span<const Real> x,
               const TransformRows<Real>& rows) {
  for (std::size_t b = 0; b < rows.batch; ++b) {
    const Real delta_logp_bar = rows.delta_logp[b];
    for (std::size_t i = 0; i < rows.size; ++i) {
      const std::size_t at = b * rows.size + i;
      const auto mapped = map_element(transform, x[at], i);
      Real& bar = rows.values[at];
      bar = inverted ? (bar + delta_logp_bar * mapped.log_slope_derivative) / mapped.slope
                     : bar * mapped.slope - delta_logp_bar * mapped.log_slope_derivative;
    }
  }
}

/// (c, h, w) → (4c, h/2, w/2); `inverse` the other way. `shape` is the unsqueezed one.
template <class Real>
void squeeze(const std::vector<int>& shape, bool inverse, std::size_t batch,
             std::span<Real> values) {
  const std::size_t channels = shape[0], height = shape[1] / 2, width = shape[2] / 2;
  const std::size_t size = element_count(shape);
  std::vector<Real> row(size);
  for (std::size_t b = 0; b < batch; ++b) {
    const auto sample = values.subspan(b * size, size);
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t i = 0; i < height; ++i)
        for (std::size_t j = 0; j < width; ++j)
          for (std::size_t a = 0; a < 4; ++a) {
            const std::size_t wide = (c * 2 * height + 2 * i + a / 2) * 2 * width + 2 * j + a % 2;
            const std::size_t deep = ((4 * c + a) * height + i) * width + j;
            row[inverse ? wide : deep] = sample[inverse ? deep : wide];
          }
    std::copy(row.begin(), row.end(), sample.begin());
  }
}

}  // namespace ffjord
