// What a flow takes of memory, told before there is one.
#pragma once

#include <cstddef>

#include "core/flow_layout.h"
#include "core/vae_plan.h"

namespace ffjord {

/// Bytes of a flow that is trained, in numbers of `real_size` bytes, on the smallest batch:
/// weights, gradients, two moments, an average and a copy under way; W/σ and its cotangent under
/// spectral normalisation; what engines keep packed or sum up, with its padding; the activations of
/// one tile of rows. In float64, which does not wrap around. Larger batches and more threads come
/// on top.
double memory_need(const FlowLayout& layout, std::size_t real_size);

/// The same of an autoencoder, whose activations are kept for the pullback of a batch.
double memory_need(const VaeLayout& layout, std::size_t real_size);

}  // namespace ffjord
