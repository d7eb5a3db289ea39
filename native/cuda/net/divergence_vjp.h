// The divergence as (εᵀJ)·ε: ε is pulled back through the layers of a pass without tangents.
#pragma once

#include "cuda/net/layer_pass.h"

namespace ffjord::cuda {

/// Adds that of a pass which kept its tape to the rates; `eps` (K, B, D) in the order of its input.
void add_vjp(const DeviceNet& net, const Evaluation& evaluation, PullbackScratch& scratch,
             const FieldPoint& point, const LayerPass& pass, const float* eps,
             const FieldColumns<float>& rates);

}  // namespace ffjord::cuda
