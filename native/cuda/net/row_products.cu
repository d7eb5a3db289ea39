#include "cuda/net/row_products.h"
#include "cuda/step/row_lanes.h"

namespace ffjord::cuda {
namespace {

template <int Lanes>
__global__ void __launch_bounds__(kRowThreads) add_row_products(RowProducts s) {
  const RowLane<Lanes> at;
  const bool works = s.groups.works(at.row, s.batch);
  const float* const v = s.v + s.slot.offset(s.groups);
  float sum = 0.f;
  if (works)
    for (int k = 0; k < s.probes; ++k)
      for (int i = at.lane; i < s.dimension; i += Lanes) {
        const std::size_t entry = (std::size_t(k) * s.batch + at.row) * s.dimension + i;
        sum = fmaf(v[entry], s.eps[entry], sum);
      }
  sum = at.sum(sum);
  if (!works || at.lane > 0) return;
  float& divergence = s.divergence[std::size_t(at.row) * s.stride];
  divergence = (s.adds ? divergence : s.start) + s.weight * sum;
}

}  // namespace

void add_products(const RowProducts& s, const Stream& stream) {
  with_lanes(s.dimension, [&](auto lanes) {
    launch("add_row_products", add_row_products<lanes>, row_shape(s.batch, lanes), stream, s);
  });
}

}  // namespace ffjord::cuda
