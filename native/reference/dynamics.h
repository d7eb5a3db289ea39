// The vector field of a block: f(z, t), its divergence and the regularisers' integrands, row by
// row, and the pullback of all three.
#pragma once

#include <vector>

#include "core/block_plan.h"
#include "reference/branch_view.h"
#include "reference/network.h"

namespace ffjord::reference {

/// Which divergence and which integrands an evaluation computes.
struct DynamicsPlan {
  TracePlan trace;
  Regularisers regularisers;
};

/// Where the field is evaluated.
struct Point {
  double t = 0;
  std::size_t batch = 0;
  View z;        ///< (B, D)
  View eps;      ///< (K, B, D), or (K, B, width) of a bottleneck; empty for exact traces
  View context;  ///< (B, C); empty where C = 0
};

/// Values, or cotangents, of an evaluation.
template <class Array>
struct Rates {
  Array f;             ///< (B, D)
  Array divergence;    ///< (B); empty: not wanted, or zero
  Array regularisers;  ///< (B, R), in the order of the plan; may be empty
};

class Dynamics {
 public:
  explicit Dynamics(const BlockContext<double>& context);

  std::size_t dimension() const { return dimension_; }
  std::size_t context_size() const { return context_size_; }
  std::size_t parameter_count() const { return parameter_count_; }
  /// The tensors of the net, as ranges of the flow's flat buffer.
  const std::vector<ParameterRange>& parameters() const { return net_.tensors; }

  void evaluate(const DynamicsPlan& plan, const Point& point, const Rates<Target>& rates) const;

  /// Adds z̄ to `z_bar` (B, D), θ̄ to `gradients` (whole flat buffer, or empty) and c̄ to
  /// `context_bar` (B, C, or empty); returns t̄.
  double pullback(const DynamicsPlan& plan, const Point& point, const Rates<View>& bars,
                  Target z_bar, Target gradients, Target context_bar) const;

 private:
  /// The value of row `row` and its tangents ε_k or e_i, as columns.
  Columns columns_of(const DynamicsPlan& plan, const Point& point, std::size_t row,
                     bool tangents) const;
  /// Weight of a tangent in the divergence: 1/K of a probe, 1 of a unit vector.
  static double tangent_weight(const TracePlan& plan) {
    return plan.exact() ? 1 : 1.0 / plan.probes;
  }
  /// ε_k of row `row`.
  Columns noise_of(const TracePlan& plan, const Point& point, std::size_t row) const;
  /// Whether a branch's columns end with its lattice's probes.
  static bool by_lattices(const DynamicsPlan& plan, bool with_divergence) {
    return with_divergence && plan.trace.divergence == Divergence::Lattices;
  }
  /// The sum of all branches' output columns, those of the lattices' probes left out; adds their
  /// divergence.
  Columns push(const std::vector<LayerAt>& at, const Columns& input, bool lattices, RowTape& tape,
               double& divergence) const;
  /// The net's output columns made those of the field: minus the input where it is residual.
  void subtract_input(const Columns& input, Columns& output) const;
  View context_of(const Point& point, std::size_t row) const {
    return point.context.subspan(row * context_size_, context_size_);
  }
  std::vector<Vector> hidden_slopes(const std::vector<LayerAt>& at, const RowTape& tape) const;

  const NetPlan net_;
  Network network_;
  std::vector<BranchView> branches_;
  bool residual_;
  std::size_t dimension_, parameter_count_, context_size_;
};

}  // namespace ffjord::reference
