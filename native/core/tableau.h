// Runge-Kutta methods as data. A new method is one more row in tableau.cc.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace ffjord {

inline constexpr int kMaxStages = 14;
using StageWeights = std::array<double, kMaxStages>;

/// k_i = f(t + c_i h, y + h Σ_j a_ij k_j);  y₁ = y + h Σ b_i k_i;  error = h Σ e_i k_i;
/// y(t + θh) = y + h Σ_i b_i(θ) k_i between, which counts f(t + h, y₁) as k of number end_stage().
struct Tableau {
  static constexpr int kDensePowers = 6;

  std::string_view name;
  int stages;  ///< evaluations of a step, the FSAL stage included
  int order;   ///< of the propagated solution
  bool fsal;   ///< the last stage is the first of the next step: its row of `a` is b
  bool adaptive;
  StageWeights c;
  std::array<StageWeights, kMaxStages> a;
  StageWeights b;
  StageWeights e;            ///< b − b̂; zero for fixed-step methods
  StageWeights last_change;  ///< Y_s − Y_r = h Σ last_change_j k_j of the last two stages
  double stability_limit;    ///< largest x for which y' = −x y / h is damped
  int dense_order;           ///< of the solution between the ends of a step
  std::array<std::array<double, kDensePowers>, kMaxStages>
      dense;  ///< b_i(θ) = Σ_p dense_ip θ^(p+1)

  /// f(t + h, y₁): the FSAL stage, or an evaluation that the next step begins with.
  int end_stage() const { return fsal ? stages - 1 : stages; }
  /// Stages that carry a cotangent in a backward pass: all but an FSAL stage of weight zero.
  int differentiated_stages() const { return fsal ? stages - 1 : stages; }
};

std::span<const Tableau> tableaus();
/// Throws Error(InvalidArgument) that lists the known names.
const Tableau& tableau(std::string_view name);

}  // namespace ffjord
