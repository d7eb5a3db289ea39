// The divergence in closed form (docs/mathematics.md): d₂ᵀ (M d₁), or cᵀ d₁ with one hidden layer,
// of the diagonals d that a pass leaves.
#pragma once

#include "cuda/net/layer_pullback.h"

namespace ffjord::cuda {

/// Fills `closed` for `count` sets of output gates, `gate_stride` apart (null: ones).
void set_closed(const NetArrays& net, const std::vector<Layer>& layers, const float* output_gate,
                int gate_stride, int count, const ClosedArrays& closed, const Stream& stream);

/// What the rates take the divergence from.
void close_trace(const DeviceNet& net, Evaluation& evaluation, const FieldPoint& point, TapeUse use,
                 FieldArguments& field);

/// Floats that its pullback needs beside the diagonals' cotangents.
std::size_t closed_scratch(const std::vector<Layer>& layers, int sets);
/// Cotangents of the diagonals, row by row, and those of M or c chained to the weights and the
/// output's gate.
void pull_closed_trace(Reverse& reverse, const FieldColumns<const float>& bars);

}  // namespace ffjord::cuda
