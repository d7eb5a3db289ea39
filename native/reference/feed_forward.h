// A feed-forward net in float64, row by row.
#pragma once

#include <memory>

#include "core/feed_forward.h"

namespace ffjord::reference {

std::unique_ptr<FeedForward<double>> make_feed_forward(const FeedForwardPlace<double>& place);

}  // namespace ffjord::reference
