#include "core/options.h"

#include "core/errors.h"
#include "core/tableau.h"

namespace ffjord {

Control stepping(const SolverOptions& options) {
  return options.tableau->adaptive ? options.control : Control::Batch;
}

void require_supported(const SolverOptions& solver, const GradientOptions& gradient,
                       const Regularisers& regularisers, bool differentiated) {
  if (differentiated && gradient.method == GradientMethod::Adjoint &&
      stepping(solver) != Control::Batch)
    throw Error(ErrorCode::Unsupported,
                "the adjoint steps whole batches; use control 'batch' or gradient 'checkpoint'");
  if (solver.controller == Controller::Torchdiffeq &&
      (solver.tableau->name != "dopri5" || solver.control != Control::Batch ||
       regularisers.count() > 0))
    throw Error(ErrorCode::Unsupported,
                "controller 'torchdiffeq' is dopri5 with control 'batch' and no regularisers");
}

}  // namespace ffjord
