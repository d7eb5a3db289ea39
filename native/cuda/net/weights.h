// The weights of a layer in the two orders that products read: W (depth, out), as a pass reads it,
// then Wᵀ (expanded out, in), as its pullback does. Both are read along their last axis. The depth
// of a convolution is (tap, in), that of its transpose (tap, out).
#pragma once

#include "cuda/device/stream.h"
#include "cuda/net/layer.h"

namespace ffjord::cuda {

/// Fills `packed` + layer.packed from the block's parameters; of a hypernet the weights depend on
/// t.
void pack(const Layer& layer, const float* parameters, float* packed, const Stream& stream);

}  // namespace ffjord::cuda
