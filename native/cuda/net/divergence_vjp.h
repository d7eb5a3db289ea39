// The divergence as (εᵀJ)·ε: ε is pulled back through the layers of a pass without tangents.
#pragma once

#include "cuda/net/layer_pass.h"

namespace ffjord::cuda {

/// Adds it to the rates of a pass that kept its tape.
void add_vjp(const DeviceNet& net, const Evaluation& evaluation, PullbackScratch& scratch,
             const FieldPoint& point, const FieldColumns<float>& rates);

}  // namespace ffjord::cuda
