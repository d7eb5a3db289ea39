// The loss of a variational autoencoder on a card.
#pragma once

#include <memory>

#include "core/vae_terms.h"
#include "cuda/device/flow_stream.h"

namespace ffjord::cuda {

/// `stream` outlives the terms.
std::unique_ptr<VaeTerms<float>> make_vae_terms(const FlowStream& stream);

}  // namespace ffjord::cuda
