// Counted cost chooses which form of the divergence a block computes.
#pragma once

#include <cstddef>
#include <string>

#include "core/lattice_probes.h"
#include "core/net_plan.h"
#include "core/options.h"

namespace ffjord {

/// ClosedOneHidden: tr = Σ_j d_j (W₁ diag(g₂) W₂)_jj. ClosedTwoHidden: tr = d₂ᵀ M d₁ with
/// M = W₂ ∘ (W₁ diag(g₃) W₃)ᵀ. UnitTangents: D tangents, Σ_i e_i·Je_i. Lattices: convolutions,
/// branch by branch, Σ_k p_k·J p_k of probes that meet the diagonal alone (core/lattice_probes.h).
/// Tangent, Vjp: Hutchinson. Bottleneck: f = g(h(z)), h the narrowest hidden layer; tr J = tr
/// (∂h/∂z)(∂g/∂h), of which ε of the width of h makes ε·(∂h/∂z)(∂g/∂h)ε (Grathwohl et al. 2019, eq.
/// 9): the mean is the same, and the variance falls with the width.
enum class Divergence {
  ClosedOneHidden,
  ClosedTwoHidden,
  UnitTangents,
  Lattices,
  Tangent,
  Vjp,
  Bottleneck
};

struct TracePlan {
  Divergence divergence = Divergence::UnitTangents;
  NoiseLaw noise = NoiseLaw::Gaussian;  ///< the law of a Hutchinson estimate's ε
  int probes = 0;  ///< tangents a row: K, D for UnitTangents, those of all branches for Lattices; 0
                   ///< in closed forms
  int encoder = 0;  ///< Bottleneck: layers up to the narrowest hidden one, itself included
  int width = 0;    ///< Bottleneck: of that layer
  /// Of an estimate whose ε are cut to lattices, probe k to that of k mod count, and scaled by
  /// √count, so that E[εεᵀ] is 1 in the mean over a set. Else its channels are 0.
  ProbeLattice lattice = {.channels = 0, .plane = {}, .spacing = {}};

  bool on_lattices() const { return lattice.channels > 0; }

  bool exact() const { return divergence < Divergence::Tangent; }
  /// Whether the trace is a form in the slopes of the hidden layers.
  bool closed() const {
    return divergence == Divergence::ClosedOneHidden || divergence == Divergence::ClosedTwoHidden;
  }
  /// Whether rows need ε.
  bool draws_noise() const { return !exact(); }
  /// Elements of ε of a row and probe.
  std::size_t noise_size(std::size_t dimension) const {
    return divergence == Divergence::Bottleneck ? width : dimension;
  }
};

/// Multiply-adds a row of one evaluation of (f, divergence) under the plan.
double cost(const NetPlan& net, const TracePlan& plan);

/// Exact where asked, or under Auto where it costs at most twice the estimate with one probe; of
/// convolutions by lattices, unless a regulariser needs tangents.
/// Regularisers that need tangents rule the closed forms out; those that need the whole Jacobian
/// take D tangents, and the divergence is exact then. Throws Error(Unsupported) for an estimate
/// beside these, and for JoffdiagFrobint in one dimension.
TracePlan plan_trace(const NetPlan& net, const TraceOptions& options,
                     const Regularisers& regularisers);

/// "exact (closed form)", "exact (unit tangents)", "hutchinson (gaussian, 1 probe, tangent)" …
std::string describe(const TracePlan& plan);

}  // namespace ffjord
