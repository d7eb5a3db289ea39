// The divergence by noise of a bottleneck's width (core/trace_plan.h) on one row: f = g(h(z)) with
// h the narrowest hidden layer, tr J ≈ Σ_k ε_k·(∂h/∂z)(∂g/∂h)ε_k / K.
#pragma once

#include "core/trace_plan.h"
#include "reference/network.h"

namespace ffjord::reference {

class Bottleneck {
 public:
  /// At the value that `values` holds, pushed through the whole net; `eps` are the ε_k (width).
  Bottleneck(const Network& network, const std::vector<LayerAt>& at, const TracePlan& plan,
             const RowTape& values, const Columns& eps);

  /// That of the net; a residual field's is D less.
  double divergence() const;

  /// The cotangent of z for that of the divergence; adds to those of the layers.
  Vector pull(double divergence_bar, std::vector<LayerAt>& at_bars) const;

 private:
  double weight() const { return 1.0 / static_cast<double>(eps_.size()); }

  const Network& network_;
  const std::vector<LayerAt>& at_;
  const LayerRange encoder_, decoder_;
  const RowTape& values_;
  const Columns& eps_;
  RowTape decoder_tape_;  // h and ε_k went in: g(h), v_k = (∂g/∂h)ε_k
  RowTape probe_tape_;    // z and v_k went in: h, (∂h/∂z)v_k
};

}  // namespace ffjord::reference
