// The integrands of regularisers by name and their derivatives, in plain loops over one row: what
// engines compute, written down once more from the papers' formulas.
#pragma once

#include <cmath>
#include <string_view>
#include <vector>

namespace ffjord::check {

/// f (D), and tangents J ε_k as [k][i] with their weight; unit vectors make them J's columns.
template <class Real>
struct PlainField {
  std::vector<Real> f;
  std::vector<std::vector<Real>> tangents;
  Real weight = 1;
};

template <class Real>
Real plain_integrand(std::string_view name, const PlainField<Real>& field) {
  const auto& f = field.f;
  const auto& j = field.tangents;
  const std::size_t d = f.size();
  Real squares = 0, magnitudes = 0, frobenius = 0, diagonal = 0, directional = 0;
  for (Real value : f) squares += value * value, magnitudes += std::fabs(value);
  for (std::size_t k = 0; k < j.size(); ++k) {
    Real along = 0;
    for (std::size_t i = 0; i < d; ++i) {
      frobenius += field.weight * j[k][i] * j[k][i];
      along += f[i] * j[k][i];
      if (i == k) diagonal += j[k][i] * j[k][i];
    }
    directional += along * along;
  }
  if (name == "kinetic") return squares / Real(2 * d);
  if (name == "jacobian") return frobenius / Real(d);
  if (name == "l1int") return magnitudes / Real(d);
  if (name == "l2int") return std::sqrt(squares / Real(d));
  if (name == "dl2int") return std::sqrt(directional / Real(d));
  if (name == "JFrobint") return std::sqrt(frobenius) / Real(d);
  if (name == "JdiagFrobint") return std::sqrt(diagonal / Real(d));
  if (name == "JoffdiagFrobint") {
    Real rest = 0;
    for (std::size_t k = 0; k < d; ++k)
      for (std::size_t i = 0; i < d; ++i) rest += i == k ? 0 : j[k][i] * j[k][i];
    return rest / Real(d * (d - 1));
  }
  return std::nan("");
}

/// Adds the cotangents of f and the tangents for that of the integrand.
template <class Real>
void plain_integrand_pullback(std::string_view name, const PlainField<Real>& field, Real bar,
                              std::vector<Real>& f_bar,
                              std::vector<std::vector<Real>>& tangent_bar) {
  const auto& f = field.f;
  const auto& j = field.tangents;
  const std::size_t d = f.size();
  const Real value = plain_integrand(name, field);
  for (std::size_t i = 0; i < d; ++i) {
    if (name == "kinetic") f_bar[i] += bar * f[i] / Real(d);
    if (name == "l1int") f_bar[i] += bar * (f[i] > 0 ? 1 : f[i] < 0 ? -1 : 0) / Real(d);
    if (name == "l2int") f_bar[i] += bar * f[i] / (value * Real(d));
  }
  for (std::size_t k = 0; k < j.size(); ++k) {
    Real along = 0;
    for (std::size_t i = 0; i < d; ++i) along += f[i] * j[k][i];
    for (std::size_t i = 0; i < d; ++i) {
      Real& to = tangent_bar[k][i];
      if (name == "jacobian") to += bar * 2 * field.weight * j[k][i] / Real(d);
      if (name == "JFrobint") to += bar * j[k][i] / (value * Real(d * d));
      if (name == "JdiagFrobint" && i == k) to += bar * j[k][i] / (value * Real(d));
      if (name == "JoffdiagFrobint" && i != k) to += bar * 2 * j[k][i] / Real(d * (d - 1));
      if (name == "dl2int") {
        to += bar * along * f[i] / (value * Real(d));
        f_bar[i] += bar * along * j[k][i] / (value * Real(d));
      }
    }
  }
}

}  // namespace ffjord::check
