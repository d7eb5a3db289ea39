// The pullback of a closed trace (docs/mathematics.md): d̄ of the diagonals row by row, and the
// cotangents of M or c chained to the weights and the output's gate.
#pragma once

#include "cuda/net/net_time.h"

namespace ffjord::cuda {

struct ClosedPullback {
  NetArrays net;
  Groups groups;
  int batch = 0;
  int sets = 1;  ///< groups where the output is gated, else 1
  ClosedArrays closed;
  const float* divergence_bar = nullptr;  ///< (B), `bar_stride` apart; null: zero
  int bar_stride = 1;
  const float* slices = nullptr;  ///< [slices][M̄ or c̄]: M̄ = Σ v d₂ d₁ᵀ (H₂, H₁), c̄ = Σ v d₁ (H₁)
  int slices_a_set = 1;
  const float* output_gate = nullptr;  ///< null: ones
  int gate_stride = 0;
  const float* time = nullptr;  ///< [groups]
  float* scratch = nullptr;     ///< closed_scratch(…) floats
  float* time_bars = nullptr;   ///< (B): t̄, at the first row of each group; null: not wanted
  float scale = 1;              ///< of what is added to
  float* gradient = nullptr;    ///< null: not wanted
};

std::size_t closed_scratch(const std::vector<Layer>& layers, int sets);

/// values (B, columns) ← v · from, with v = div̄; `from` has a row for every `rows` rows.
void scale_rows(const ClosedPullback& s, const float* from, int rows, int columns, float* values,
                const Stream& stream);

/// Adds what the slices say to the gradient, and fills `time_bars`.
void pull_closed(const ClosedPullback& s, const std::vector<Layer>& layers, const Stream& stream);

}  // namespace ffjord::cuda
