// Which form of the divergence a block computes, chosen by counted cost.
#pragma once

#include <string>
#include <vector>

#include "core/flow_description.h"
#include "core/options.h"

namespace ffjord {

/// ClosedOneHidden: tr = Σ_j d_j (W₁ diag(g₂) W₂)_jj. ClosedTwoHidden: tr = d₂ᵀ M d₁ with
/// M = W₂ ∘ (W₁ diag(g₃) W₃)ᵀ. UnitTangents: D tangents, Σ_i e_i·Je_i. Tangent, Vjp: Hutchinson.
enum class Divergence { ClosedOneHidden, ClosedTwoHidden, UnitTangents, Tangent, Vjp };

struct TracePlan {
  Divergence divergence = Divergence::UnitTangents;
  NoiseLaw noise = NoiseLaw::Gaussian;  ///< of a Hutchinson estimate
  int probes = 0;  ///< tangents a row: K, or D for UnitTangents; 0 in closed forms

  bool exact() const { return divergence != Divergence::Tangent && divergence != Divergence::Vjp; }
  /// Whether rows need ε.
  bool draws_noise() const { return !exact(); }
};

/// Multiply-adds a row of one evaluation of (f, divergence) under the plan.
double cost(const Net& net, const std::vector<int>& shape, const TracePlan& plan);

/// Exact where asked, or under Auto where it costs at most twice the estimate with one probe.
/// A `jacobian` regulariser needs tangents, so it rules the closed forms out.
TracePlan plan_trace(const Net& net, const std::vector<int>& shape, const TraceOptions& options,
                     const Regularisers& regularisers);

/// "exact (closed form)", "exact (unit tangents)", "hutchinson (gaussian, 1 probe, tangent)" …
std::string describe(const TracePlan& plan);

}  // namespace ffjord
