// A squeeze on the device.
#pragma once

#include <memory>

#include "core/flow_block.h"
#include "cuda/device/flow_stream.h"

namespace ffjord::cuda {

/// `stream` outlives the block.
std::unique_ptr<FlowBlock<float>> make_squeeze_block(const BlockPlace<float>& place,
                                                     const FlowStream& stream);

}  // namespace ffjord::cuda
