// One layer of a pass on prepared operands: what layer_forward.h says, of layers that take octets
// (split.h). What a layer leaves is split where it is made, for the layer above.
#pragma once

#include "cuda/net/few_channels.h"
#include "cuda/net/octet_tile.h"
#include "cuda/net/split.h"

namespace ffjord::cuda {

struct OctetForward {
  ForwardArguments layer;   ///< `value` and `tangent` null: only the octets are wanted
  OctetFactors factors;     ///< (a, ȧ_k), without ȧ where tangents are unit vectors, and W
  FewChannels few;          ///< the same of a layer with few channels, which has no factors
  OctetRows above;          ///< where the octets of what it leaves go; none where nobody reads them
  float* slices = nullptr;  ///< of slices_of the factors
};

void run_octet_layer(const OctetForward& arguments, const Stream& stream);

}  // namespace ffjord::cuda
