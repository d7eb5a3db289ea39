// The pullback of a solve in one launch, for small nets: every block recomputes the steps of some
// rows and reverses them, and keeps their sums of the weights' gradients.
#pragma once

#include "cuda/block/workspace.h"
#include "cuda/fused/fused_net.h"

namespace ffjord::cuda {

/// λ (B, S) ← its pullback through all steps; row_sums (B) += Σ h h̄ + t t̄. `gradient`, of the
/// block's parameters, is added to; null: not wanted.
void pull_fused(const FusedPlan& plan, const BlockCall& call, const SolveTape& tape, float* bar,
                double* row_sums, float* gradient);

}  // namespace ffjord::cuda
