// tr J of dense nets with one or two hidden layers without a tangent: J is a product of constant
// matrices and of diagonals d_l = σ'(z_l) ⊙ g_l, so its trace is a form in the d_l whose
// coefficients depend on the weights and t alone.
#pragma once

#include <vector>

#include "reference/network.h"

namespace ffjord::reference {

class ClosedTrace {
 public:
  /// For the layers at one time: two of them (one hidden) or three (two hidden).
  explicit ClosedTrace(const std::vector<LayerAt>& at);

  /// `slopes` holds σ'(z_l) of the hidden layers.
  double trace(const std::vector<Vector>& slopes) const;

  /// Cotangents of `slopes` for that of the trace of one row; adds to ḡ in `bars` and to M̄.
  std::vector<Vector> pull_row(double trace_bar, const std::vector<Vector>& slopes,
                               std::vector<LayerAt>& bars);

  /// Chains the M̄ of all rows to W̄ and ḡ in `bars`.
  void pull_coefficients(std::vector<LayerAt>& bars) const;

 private:
  /// Σ_i W_first[k, i] g_last[i] W_last[i, j]
  double through_output(std::size_t k, std::size_t j) const;
  /// Adds the cotangent of `through_output(k, j)`.
  void pull_through_output(double bar, std::size_t k, std::size_t j,
                           std::vector<LayerAt>& bars) const;
  /// d_l = σ'(z_l) ⊙ g_l
  Vector diagonal(const std::vector<Vector>& slopes, std::size_t l) const;

  const std::vector<LayerAt>& at_;
  std::size_t first_width_, last_width_, dimension_;
  // Two hidden layers: through_output(k, j) as (first, last) and M[j, k] = W₂[j, k] · it, (last,
  // first). One hidden layer: the diagonal of through_output, (first).
  Vector inner_, coefficients_, coefficients_bar_;
};

}  // namespace ffjord::reference
