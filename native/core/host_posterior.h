// Posteriors in the memory of the host, by their kind.
#pragma once

#include <memory>
#include <variant>

#include "core/continuous_posterior.h"
#include "core/inverse_autoregressive_flow.h"
#include "core/planar_flow.h"
#include "core/row_posterior.h"
#include "core/sylvester_flow.h"

namespace ffjord {

template <class Real>
std::unique_ptr<Posterior<Real>> make_host_posterior(const PosteriorPlace<Real>& place,
                                                     FlowDevice<Real>& device) {
  const PosteriorPlan& plan = place.plan;
  if (const auto* kind = std::get_if<Planar>(&plan.kind))
    return std::make_unique<RowPosterior<Real, PlanarFlow>>(place, device,
                                                            PlanarFlow<Real>(*kind, plan));
  if (const auto* kind = std::get_if<InverseAutoregressive>(&plan.kind))
    return std::make_unique<RowPosterior<Real, InverseAutoregressiveFlow>>(
        place, device, InverseAutoregressiveFlow<Real>(*kind, plan, place.parameters));
  if (const auto* kind = std::get_if<Sylvester>(&plan.kind))
    return std::make_unique<RowPosterior<Real, SylvesterFlow>>(place, device,
                                                               SylvesterFlow<Real>(*kind, plan));
  if (std::holds_alternative<Continuous>(plan.kind))
    return std::make_unique<ContinuousPosterior<Real>>(place, device);
  return std::make_unique<NoFlowPosterior<Real>>(place);
}

}  // namespace ffjord
