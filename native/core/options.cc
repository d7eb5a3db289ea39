#include "core/options.h"

#include "core/errors.h"
#include "core/tableau.h"

namespace ffjord {

void require_supported(const SolverOptions& solver, const GradientOptions& gradient,
                       const Regularisers& regularisers, bool differentiated) {
  if (differentiated && gradient.method == GradientMethod::Adjoint &&
      solver.control == Control::Sample)
    throw Error(ErrorCode::Unsupported,
                "the adjoint steps whole batches; use control 'batch' or gradient 'checkpoint'");
  if (solver.controller == Controller::Torchdiffeq &&
      (solver.tableau->name != "dopri5" || solver.control == Control::Sample ||
       regularisers.count() > 0))
    throw Error(ErrorCode::Unsupported,
                "controller 'torchdiffeq' is dopri5 with control 'batch' and no regularisers");
}

}  // namespace ffjord
