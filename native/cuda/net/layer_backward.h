// The reverse of layer_forward.h: cotangents of a layer's (a, ȧ) → those of its (z, u), times its
// gates, and the sums over rows that the gradients of biases, gates and shifts need. A
// convolution's rows are the pixels of its output, of all samples.
//
// Rows of a dense layer that does not take prepared operands (octet_backward.h) are multiplied in
// float32.
#pragma once

#include "cuda/net/context_map.h"
#include "cuda/net/net_time.h"
#include "cuda/net/planes.h"
#include "cuda/net/taps.h"

namespace ffjord::cuda {

/// Sums over a tile's rows, one for each unit; with q the logit of the gate.
enum UnitSum : int { kGatedValue, kTimedValue, kLogit, kTimedLogit, kBeta, kUnitSums };

struct BackwardArguments {
  Layer layer;
  Groups groups;
  int batch = 0, tangents = 0;  ///< B, K
  // (ā, ǡ) = Wᵀ (cotangents of the layer above); without it they are in `value_bar`,
  // `tangent_bar`.
  const float* above_value = nullptr;    ///< (B, above_out)
  const float* above_tangent = nullptr;  ///< (K, B, above_out)
  int above_out = 0;
  bool above_expanded = false;
  Taps above_taps;                ///< of its transpose, where that is a convolution
  const float* weight = nullptr;  ///< Wᵀ of the layer above (above_out, out)
  std::size_t weight_stride = 0;  ///< between groups; 0: one for all
  // What the pass left.
  const float* value = nullptr;    ///< a (B, out)
  const float* tangent = nullptr;  ///< ȧ (K, B, out)
  const float *z = nullptr, *u = nullptr;
  const float* closed = nullptr;      ///< σ'(z) ⊙ g (B, out); null: no closed trace
  const float* closed_bar = nullptr;  ///< its cotangent

  TimeArrays times;
  Planes planes;                      ///< of a convolution
  const float* parameters = nullptr;  ///< of the block
  const float* beta = nullptr;        ///< of swish
  float* value_bar = nullptr;         ///< g ⊙ z̄ (B, out)
  float* tangent_bar = nullptr;       ///< g ⊙ ū (K, B, out)
  float* unit_sums = nullptr;         ///< [kUnitSums][sum_tiles][units]; null: not wanted
  int sum_tiles = 0;                  ///< at least row_tiles
  float* time_bars = nullptr;         ///< t̄: [unit tiles][B]; null: not wanted
  TermsBar terms;                     ///< of a context, a row's own
  float* logit_bar = nullptr;         ///< q̄ (B, out); null: not wanted
};

void pull_layer(const BackwardArguments& arguments, const Stream& stream);

/// How many tiles of rows and of units pull_layer cuts a layer into.
int row_tiles(const Groups& groups, int batch, int units);
int unit_tiles(const Groups& groups, int batch, int units);

}  // namespace ffjord::cuda
