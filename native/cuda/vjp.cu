#include "cuda/activations.h"
#include "cuda/grid.h"
#include "cuda/row_lanes.h"
#include "cuda/vjp.h"

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
__global__ void __launch_bounds__(kRowThreads)
    add_row_products(Groups groups, int batch, int dimension, float weight, const float* v,
                     const float* eps, float* divergence, int stride) {
  const RowLane<Lanes> at;
  const bool works = at.row < batch && groups.of_row(at.row).working;
  float sum = 0.f;
  if (works)
    for (int i = at.lane; i < dimension; i += Lanes) {
      const std::size_t entry = std::size_t(at.row) * dimension + i;
      sum = fmaf(v[entry], eps[entry], sum);
    }
  sum = at.sum(sum);
  if (works && at.lane == 0) divergence[std::size_t(at.row) * stride] += weight * sum;
}

}  // namespace

void scale_by_slopes(const SlopeArguments& s, const Stream& stream) {
  launch("scale_cotangents", scale_cotangents, flat_shape(std::size_t(s.batch) * s.layer.out),
         stream, s);
}

void add_products(const Groups& groups, int batch, int dimension, float weight, const float* v,
                  const float* eps, float* divergence, int stride, const Stream& stream) {
  with_lanes(dimension, [&](auto lanes) {
    launch("add_row_products", add_row_products<lanes>, row_shape(batch, lanes), stream, groups,
           batch, dimension, weight, v, eps, divergence, stride);
  });
}

}  // namespace ffjord::cuda
