// Gradient by `adjoint` (Chen et al. 2018): z is integrated back from the end state together with
// its cotangent λ and the weights' θ̄, dλ/dt = −λᵀ ∂f/∂z, dθ̄/dt = −λᵀ ∂f/∂θ (and so c̄ of a context,
// which is in the error norm where θ̄ is). Memory does not grow
// with the number of steps; the result is as exact as the tolerance.
#pragma once

#include <stop_token>

#include "reference/row_system.h"

namespace ffjord::reference {

/// A solve from t0 to t1 that ended in `end` (z and Δlogp).
struct AdjointProblem {
  double t0 = 0, t1 = 0;
  View end;
  AdjointNorm norm = AdjointNorm::Seminorm;
  SharedSums* sums = nullptr;  ///< as System's
};

/// `y_bar` is the cotangent of the end state; its z becomes that of the first state. Adds to
/// `gradients` and `context_bar` (both may be empty; left as they are where the solve fails).
/// Returns T̄, T being the later of the two times.
double pull_adjoint(const RowSystem& system, const SolverOptions& options,
                    const AdjointProblem& problem, const std::stop_token& stop, Target y_bar,
                    Target gradients, Target context_bar, SolveStatistics& statistics);

}  // namespace ffjord::reference
