// Moving batch norm on the device: moments, running statistics and gradients stay there.
#pragma once

#include <memory>

#include "core/flow_block.h"
#include "cuda/device/flow_stream.h"

namespace ffjord::cuda {

/// `stream` outlives the block; so does what `place` names.
std::unique_ptr<FlowBlock<float>> make_batch_norm_block(const BlockPlace<float>& place,
                                                        const FlowStream& stream);

}  // namespace ffjord::cuda
