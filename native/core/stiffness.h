// Does stability, rather than accuracy, hold the steps down? Hairer and Wanner, Solving ODEs II,
// IV.2: ρ = ‖k_s − k_r‖ / ‖Y_s − Y_r‖ of a step's last two stages estimates the dominant
// eigenvalue, and h ρ is measured against the method's stability interval on the negative axis.
// Near 1 the system is stiff for the method. The stages are at the same time for dopri5, tsit5 and
// dopri8; for the others f's own change with t blurs the estimate.
#pragma once

#include <cmath>

#include "core/tableau.h"

namespace ffjord {

/// What follows from a method's a and b: see Tableau::stability_limit.
double stability_limit(const Tableau& tableau);

/// h ρ over the limit, from the sums of squares over z of both changes; 0 where Y_s = Y_r. A
/// template for the reason that step_rule.h gives.
template <class Real>
constexpr Real stiffness(Real stability_limit, Real h, Real rate_change, Real argument_change) {
  if (!(argument_change > 0)) return 0;
  return std::abs(h) * std::sqrt(rate_change / argument_change) / stability_limit;
}

inline double stiffness(const Tableau& tableau, double h, double rate_change,
                        double argument_change) {
  return stiffness(tableau.stability_limit, h, rate_change, argument_change);
}

}  // namespace ffjord
