// A transform of single elements on the device: logit, zero mean, standardize, support.
#pragma once

#include <memory>

#include "core/flow_block.h"
#include "cuda/device/flow_stream.h"

namespace ffjord::cuda {

/// `stream` outlives the block; so does what `place` names.
std::unique_ptr<FlowBlock<float>> make_element_block(const BlockPlace<float>& place,
                                                     const FlowStream& stream);

}  // namespace ffjord::cuda
