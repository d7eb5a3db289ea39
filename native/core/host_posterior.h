// Posteriors in the memory of the host, by their kind.
#pragma once

#include <memory>
#include <variant>

#include "core/inverse_autoregressive_flow.h"
#include "core/planar_flow.h"
#include "core/row_posterior.h"
#include "core/sylvester_flow.h"

namespace ffjord {

template <class Real>
std::unique_ptr<Posterior<Real>> make_host_posterior(const PosteriorPlace<Real>& place) {
  const PosteriorPlan& plan = place.plan;
  if (const auto* kind = std::get_if<Planar>(&plan.kind))
    return std::make_unique<RowPosterior<Real, PlanarFlow>>(place, PlanarFlow<Real>(*kind, plan));
  if (const auto* kind = std::get_if<InverseAutoregressive>(&plan.kind))
    return std::make_unique<RowPosterior<Real, InverseAutoregressiveFlow>>(
        place, InverseAutoregressiveFlow<Real>(*kind, plan, place.parameters));
  if (const auto* kind = std::get_if<Sylvester>(&plan.kind))
    return std::make_unique<RowPosterior<Real, SylvesterFlow>>(place,
                                                               SylvesterFlow<Real>(*kind, plan));
  return std::make_unique<NoFlowPosterior<Real>>(place);
}

}  // namespace ffjord
