// The reverse of a layer on prepared operands: what layer_backward.h says, of rows that step
// together. The cotangents that a layer leaves are split where they are made, for the product that
// takes them on.
#pragma once

#include "cuda/net/few_channels.h"
#include "cuda/net/layer_backward.h"

namespace ffjord::cuda {

struct OctetBackward {
  BackwardArguments layer;
  RowLines lines;        ///< of its rows
  OctetFactors factors;  ///< (ā, ǡ) of the layer above and its Wᵀ; none without a layer above
  FewChannels few;       ///< the same where that has few channels
  OctetRows below;       ///< where the octets of what it leaves go
  float* slices = nullptr;  ///< of slices_of the factors
  /// What several passes over the tangents gather, (B, out) each: q̄ / (1 − g), and β̄ of swish.
  float *logits = nullptr, *betas = nullptr;
};

void pull_octet_layer(const OctetBackward& arguments, const Stream& stream);

/// Tiles of units, of which each leaves a part of t̄.
int octet_unit_tiles(const OctetBackward& arguments);

}  // namespace ffjord::cuda
