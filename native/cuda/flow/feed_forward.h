// A feed-forward net on a card.
#pragma once

#include <memory>

#include "core/feed_forward.h"
#include "cuda/device/flow_stream.h"

namespace ffjord::cuda {

/// `stream` outlives the net.
std::unique_ptr<FeedForward<float>> make_feed_forward(const FeedForwardPlace<float>& place,
                                                      const FlowStream& stream);

}  // namespace ffjord::cuda
