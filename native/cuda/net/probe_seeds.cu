#include "cuda/device/grid.h"
#include "cuda/net/probe_seeds.h"

namespace ffjord::cuda {
namespace {

// One thread for each entry of (B, width).
__global__ void write_probe_seeds(ProbeSeeds s) {
  const std::size_t entry = flat_index(), size = std::size_t(s.batch) * s.width;
  const int row = static_cast<int>(entry / s.width);
  if (!s.groups.works(row, s.batch)) return;
  const float bar =
      s.divergence_bar ? s.weight * s.divergence_bar[std::size_t(row) * s.bar_stride] : 0.f;
  s.value_bar[entry] = 0.f;
  for (int k = 0; k < s.probes; ++k)
    s.tangent_bar[k * size + entry] = bar * s.eps[k * size + entry];
}

}  // namespace

void seed_probes(const ProbeSeeds& s, const Stream& stream) {
  launch("write_probe_seeds", write_probe_seeds, flat_shape(std::size_t(s.batch) * s.width), stream,
         s);
}

}  // namespace ffjord::cuda
