#include "cuda/device/grid.h"
#include "cuda/net/activations.h"
#include "cuda/net/vjp.h"
#include "cuda/step/row_lanes.h"

namespace ffjord::cuda {
namespace {

__global__ void scale_cotangents(SlopeArguments s) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.layer.out), j = static_cast<int>(entry % s.layer.out);
  if (row >= s.batch || !s.groups.of_row(row).working) return;
  const Slopes slopes =
      slopes_of(s.layer.activation, s.value[entry], s.z ? s.z[entry] : 0.f, s.beta ? *s.beta : 1.f);
  s.to[entry] = s.from[entry] * slopes.slope * s.times.gate[s.times.entry(row, s.layer.unit + j)];
}

template <int Lanes>
__global__ void __launch_bounds__(kRowThreads) add_row_products(RowProducts s) {
  const RowLane<Lanes> at;
  const bool works = s.groups.works(at.row, s.batch);
  const float* const v = s.v + s.slot.offset(s.groups);
  float sum = 0.f;
  if (works)
    for (int i = at.lane; i < s.dimension; i += Lanes) {
      const std::size_t entry = std::size_t(at.row) * s.dimension + i;
      sum = fmaf(v[entry], s.eps[entry], sum);
    }
  sum = at.sum(sum);
  if (works && at.lane == 0) s.divergence[std::size_t(at.row) * s.stride] += s.weight * sum;
}

}  // namespace

void scale_by_slopes(const SlopeArguments& s, const Stream& stream) {
  launch("scale_cotangents", scale_cotangents, flat_shape(std::size_t(s.batch) * s.layer.out),
         stream, s);
}

void add_products(const RowProducts& s, const Stream& stream) {
  with_lanes(s.dimension, [&](auto lanes) {
    launch("add_row_products", add_row_products<lanes>, row_shape(s.batch, lanes), stream, s);
  });
}

}  // namespace ffjord::cuda
