// Gradient by `checkpoint`: discretise, then differentiate. The states before the accepted steps
// are kept; their stages are computed again, last step first, and each is pulled back exactly.
#pragma once

#include <stop_token>
#include <vector>

#include "reference/row_system.h"

namespace ffjord::reference {

struct Checkpoint {
  AcceptedStep step;
  Vector z;  ///< before the step, (B, D)
};

/// `y_bar` is the cotangent of the end state; its z becomes that of the first state. Adds to
/// `gradients` and `context_bar` (both may be empty). Returns Σ over steps of (h h̄ + Σ over stages
/// of t t̄), which is T T̄ when the steps keep their fractions of T.
double pull_checkpoints(const RowSystem& system, const Tableau& tableau,
                        const std::vector<Checkpoint>& checkpoints, const std::stop_token& stop,
                        Target y_bar, Target gradients, Target context_bar,
                        SolveStatistics& statistics);

}  // namespace ffjord::reference
