#include "cuda/device/grid.h"
#include "cuda/net/bottleneck.h"

namespace ffjord::cuda {
namespace {

// One thread an entry of (B, width).
__global__ void seed_bottleneck(BottleneckSeeds s) {
  const std::size_t entry = flat_index(), size = std::size_t(s.batch) * s.width;
  const int row = static_cast<int>(entry / s.width);
  if (!s.groups.works(row, s.batch)) return;
  const float bar = s.divergence_bar ? s.divergence_bar[std::size_t(row) * s.bar_stride] : 0.f;
  s.value_bar[entry] = 0.f;
  for (int k = 0; k < s.probes; ++k)
    s.tangent_bar[k * size + entry] = bar / s.probes * s.eps[k * size + entry];
}

}  // namespace

void write_bottleneck_seeds(const BottleneckSeeds& s, const Stream& stream) {
  launch("seed_bottleneck", seed_bottleneck, flat_shape(std::size_t(s.batch) * s.width), stream, s);
}

}  // namespace ffjord::cuda
