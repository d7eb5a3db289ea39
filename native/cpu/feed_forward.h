// A feed-forward net on the cpu engine: tiles of rows, shared by threads.
#pragma once

#include <memory>
#include <string_view>

#include "core/feed_forward.h"

namespace ffjord::cpu {

std::unique_ptr<FeedForward<float>> make_feed_forward(const FeedForwardPlace<float>& place,
                                                      std::string_view instruction_set,
                                                      int threads);

}  // namespace ffjord::cpu
