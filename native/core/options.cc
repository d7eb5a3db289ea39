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
  if (solver.shared && stepping(solver) != Control::Batch)
    throw Error(ErrorCode::Unsupported,
                "rows and tiles step by themselves; shared steps go with control 'batch'");
  if (solver.shared && differentiated && gradient.method == GradientMethod::Adjoint &&
      gradient.norm == AdjointNorm::Full)
    throw Error(ErrorCode::Unsupported,
                "the norm 'full' of an adjoint is one of gradients, which processes add up at the "
                "end alone; use norm 'seminorm' or gradient 'checkpoint' where they share steps");
  if (solver.controller == Controller::Torchdiffeq &&
      (solver.tableau->name != "dopri5" || solver.control != Control::Batch ||
       regularisers.count() > 0))
    throw Error(ErrorCode::Unsupported,
                "controller 'torchdiffeq' is dopri5 with control 'batch' and no regularisers");
}

}  // namespace ffjord
