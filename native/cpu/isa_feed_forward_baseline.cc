// Feed-forward nets for any machine.
#include "cpu/dense_map_kernels.h"
#include "cpu/feed_forward_net.h"
#include "cpu/isa.h"

namespace ffjord::cpu::baseline {

std::unique_ptr<FeedForwardTile> make_feed_forward(const FeedForwardPlace<float>& place) {
  return std::make_unique<ImageNet>(place);
}

DenseMapKernels dense_map() { return {apply_units, pull_back_units}; }

}  // namespace ffjord::cpu::baseline
