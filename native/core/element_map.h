// The invertible maps y = φ(x) of single elements that transforms are made of, and the numbers that
// each takes of a description. Constexpr and templates for the same reason as step_rule.h: a device
// maps by the same lines.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace ffjord {

/// y = logit(α + (1 − 2α) x)
struct LogitElement {
  double alpha;
};
/// y = x − ½
struct ZeroMeanElement {};
/// y = (x − mean) / scale
struct StandardizeElement {
  double mean, scale;
};
/// An interval onto the line; ±infinity where it has no end.
struct SupportElement {
  double lower, upper;

  constexpr bool has_lower() const { return lower > -std::numeric_limits<double>::infinity(); }
  constexpr bool has_upper() const { return upper < std::numeric_limits<double>::infinity(); }
};

template <class Real>
struct ElementMap {
  Real y;                     ///< φ(x)
  Real log_slope;             ///< log φ'(x)
  Real slope;                 ///< φ'(x)
  Real log_slope_derivative;  ///< d log φ'(x) / dx
};

template <class Real>
constexpr ElementMap<Real> map_element(const LogitElement& logit, Real x) {
  const Real a = static_cast<Real>(logit.alpha);
  const Real s = a + (1 - 2 * a) * x;
  const Real slope = (1 - 2 * a) / (s * (1 - s));
  return {std::log(s) - std::log1p(-s), std::log(slope), slope, (2 * s - 1) * slope};
}
template <class Real>
constexpr ElementMap<Real> map_element(const ZeroMeanElement&, Real x) {
  return {x - Real(0.5), 0, 1, 0};
}
template <class Real>
constexpr ElementMap<Real> map_element(const StandardizeElement& standardize, Real x) {
  const Real scale = static_cast<Real>(standardize.scale);
  return {(x - static_cast<Real>(standardize.mean)) / scale, -std::log(scale), 1 / scale, 0};
}
template <class Real>
constexpr ElementMap<Real> map_element(const SupportElement& support, Real x) {
  const double lower = support.lower, upper = support.upper;
  const Real above = static_cast<Real>(x - lower), below = static_cast<Real>(upper - x);
  if (!support.has_lower() && !support.has_upper()) return {x, 0, 1, 0};
  if (!support.has_upper()) return {std::log(above), -std::log(above), 1 / above, -1 / above};
  if (!support.has_lower()) return {-std::log(below), -std::log(below), 1 / below, 1 / below};
  const Real width = static_cast<Real>(upper - lower);
  return {std::log(above) - std::log(below), std::log(width) - std::log(above) - std::log(below),
          width / (above * below), 1 / below - 1 / above};
}

/// Whether φ is defined at x.
template <class Real, class Element>
constexpr bool is_inside(const Element&, Real) {
  return true;
}
template <class Real>
constexpr bool is_inside(const LogitElement& logit, Real x) {
  const Real a = static_cast<Real>(logit.alpha), s = a + (1 - 2 * a) * x;
  return s > 0 && s < 1;
}
template <class Real>
constexpr bool is_inside(const SupportElement& support, Real x) {
  return static_cast<Real>(x - support.lower) > 0 && static_cast<Real>(support.upper - x) > 0;
}

/// log(1 + eʸ), where eʸ overflows too.
template <class Real>
constexpr Real softplus(Real y) {
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
constexpr Inverse<Real> invert_element(const LogitElement& logit, Real y) {
  const Real a = static_cast<Real>(logit.alpha);
  const Real s = std::clamp(1 / (1 + std::exp(-y)), std::numeric_limits<Real>::min(),
                            1 - std::numeric_limits<Real>::epsilon() / 2);
  Real x = (s - a) / (1 - 2 * a);
  for (int step = 0; step < 64 && !is_inside(logit, x); ++step) x = std::nextafter(x, Real(0.5));
  return {x, std::log1p(-2 * a) + softplus(y) + softplus(-y)};
}
template <class Real>
constexpr Inverse<Real> invert_element(const ZeroMeanElement&, Real y) {
  return {y + Real(0.5), 0};
}
template <class Real>
constexpr Inverse<Real> invert_element(const StandardizeElement& standardize, Real y) {
  const Real scale = static_cast<Real>(standardize.scale);
  return {static_cast<Real>(standardize.mean) + y * scale, -std::log(scale)};
}
/// Never an end of the interval, where rounding would put it: the density there is no number.
template <class Real>
constexpr Inverse<Real> invert_element(const SupportElement& support, Real y) {
  const double lower = support.lower, upper = support.upper;
  if (!support.has_lower() && !support.has_upper()) return {y, 0};
  const double decay = std::exp(-std::abs(double(y)));  // no overflow
  const double x = !support.has_upper()   ? lower + std::exp(double(y))
                   : !support.has_lower() ? upper - std::exp(-double(y))
                   : y < 0                ? lower + (upper - lower) * (decay / (1 + decay))
                                          : upper - (upper - lower) * (decay / (1 + decay));
  constexpr Real infinity = std::numeric_limits<Real>::infinity();
  Real inside = static_cast<Real>(x);
  if (inside <= lower) inside = std::nextafter(static_cast<Real>(lower), infinity);
  if (inside >= upper) inside = std::nextafter(static_cast<Real>(upper), -infinity);
  if (!support.has_upper()) return {inside, -y};
  if (!support.has_lower()) return {inside, y};
  return {inside, softplus(y) + softplus(-y) - static_cast<Real>(std::log(upper - lower))};
}

/// The cotangent of φ's input, or of φ⁻¹'s where `inverted`, for that of its output. x is the data
/// side.
template <class Real, class Element>
constexpr Real pull_element(const Element& element, bool inverted, Real x, Real bar,
                            Real delta_logp_bar) {
  const ElementMap<Real> mapped = map_element(element, x);
  return inverted ? (bar + delta_logp_bar * mapped.log_slope_derivative) / mapped.slope
                  : bar * mapped.slope - delta_logp_bar * mapped.log_slope_derivative;
}

}  // namespace ffjord
