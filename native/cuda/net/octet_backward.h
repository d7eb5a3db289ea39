// The reverse of a layer on prepared operands: what layer_backward.h says, of rows that step
// together. The cotangents that a layer leaves are split where they are made, for the product that
// takes them on.
#pragma once

#include "cuda/net/layer_backward.h"
#include "cuda/net/octet_tile.h"

namespace ffjord::cuda {

struct OctetBackward {
  BackwardArguments layer;
  OctetFactors factors;  ///< (ā, ǡ) of the layer above and its Wᵀ; none without a layer above
  OctetRows below;       ///< where the octets of what it leaves go
  float* slices = nullptr;  ///< of slices_of the factors
  /// What several passes over the tangents gather, (B, out) each: q̄ / (1 − g), and β̄ of swish.
  float *logits = nullptr, *betas = nullptr;
};

/// Whether a layer is pulled so; `above`: Wᵀ of the layer above, null where there is none above.
bool takes_octets(const BackwardArguments& arguments, const OctetLines* above,
                  const CudaOptions& options);

void pull_octet_layer(const OctetBackward& arguments, const Stream& stream);

/// Tiles of units, of which each leaves a part of t̄.
int octet_unit_tiles(int units);

}  // namespace ffjord::cuda
