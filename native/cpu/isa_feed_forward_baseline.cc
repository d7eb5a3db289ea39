// Feed-forward nets for any machine.
#include "cpu/feed_forward_net.h"
#include "cpu/isa.h"

namespace ffjord::cpu::baseline {

std::unique_ptr<FeedForwardTile> make_feed_forward(const FeedForwardPlace<float>& place) {
  return std::make_unique<ImageNet>(place);
}

}  // namespace ffjord::cpu::baseline
