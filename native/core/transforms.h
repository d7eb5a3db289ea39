// Transforms of rows on the host: elementwise maps and squeeze. Each maps rows in place, adds to
// Δlogp, inverts, and pulls cotangents back. log p(x) = log p(y) − Δlogp, so that a map with
// log|det| ℓ subtracts ℓ in the forward direction and adds it in reverse.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "core/element_map.h"
#include "core/flow_description.h"
#include "core/squeezed_view.h"

namespace ffjord {

/// Rows (B, size) in place with their Δlogp (B).
template <class Real>
struct TransformRows {
  std::size_t batch = 0, size = 0;
  std::span<Real> values;
  std::span<Real> delta_logp;
};

/// What a transform does to element i of a row.
inline LogitElement element_of(const Logit& logit, std::size_t) { return {logit.alpha}; }
inline ZeroMeanElement element_of(const ZeroMean&, std::size_t) { return {}; }
inline StandardizeElement element_of(const Standardize& standardize, std::size_t i) {
  return {standardize.mean[i], standardize.scale[i]};
}
inline SupportElement element_of(const Support& support, std::size_t i) {
  return {support.lower[i], support.upper[i]};
}

/// Data → base: y = φ(x), Δlogp −= Σ log φ'.
template <class Real, class Transform>
void apply(const Transform& transform, const TransformRows<Real>& rows) {
  for (std::size_t b = 0; b < rows.batch; ++b) {
    double log_slope = 0;
    for (std::size_t i = 0; i < rows.size; ++i) {
      Real& value = rows.values[b * rows.size + i];
      const auto mapped = map_element(element_of(transform, i), value);
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
      const auto [x, log_slope_there] = invert_element(element_of(transform, i), value);
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
      Real& bar = rows.values[at];
      bar = pull_element(element_of(transform, i), inverted, x[at], bar, delta_logp_bar);
    }
  }
}

/// (c, h, w) → (4c, h/2, w/2); `inverse` the other way. `shape` is the unsqueezed one.
template <class Real>
void squeeze(const std::vector<int>& shape, bool inverse, std::size_t batch,
             std::span<Real> values) {
  const std::vector<std::uint32_t> places = squeezed_places(shape[0], {shape[1], shape[2]}, 1);
  std::vector<Real> row(places.size());
  for (std::size_t b = 0; b < batch; ++b) {
    const auto sample = values.subspan(b * row.size(), row.size());
    for (std::size_t i = 0; i < row.size(); ++i)
      row[inverse ? places[i] : i] = sample[inverse ? i : places[i]];
    std::copy(row.begin(), row.end(), sample.begin());
  }
}

}  // namespace ffjord
