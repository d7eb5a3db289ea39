// Runge-Kutta methods as data. A new method is one more row in tableau.cc.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace ffjord {

inline constexpr int kMaxStages = 14;

/// k_i = f(t + c_i h, y + h Σ_j a_ij k_j);  y₁ = y + h Σ b_i k_i;  error = h Σ e_i k_i.
struct Tableau {
  std::string_view name;
  int stages;  ///< evaluations of a step, the FSAL stage included
  int order;   ///< of the propagated solution
  bool fsal;   ///< the last stage is the first of the next step: its row of `a` is b
  bool adaptive;
  std::array<double, kMaxStages> c;
  std::array<std::array<double, kMaxStages>, kMaxStages> a;
  std::array<double, kMaxStages> b;
  std::array<double, kMaxStages> e;  ///< b − b̂; zero for fixed-step methods

  /// Stages that carry a cotangent in a backward pass: all but an FSAL stage of weight zero.
  int differentiated_stages() const { return fsal ? stages - 1 : stages; }
};

std::span<const Tableau> tableaus();
/// Throws Error(InvalidArgument) that lists the known names.
const Tableau& tableau(std::string_view name);

}  // namespace ffjord
