#include <algorithm>

#include "cuda/net/field.h"
#include "cuda/net/regulariser_sums.h"

namespace ffjord::cuda {
namespace {

template <int Lanes>
__global__ void __launch_bounds__(kRowThreads)
    write_row_rates(const __grid_constant__ FieldArguments s, FieldColumns<float> rates) {
  const RowLane<Lanes> at;
  const int row = at.row;
  const bool works = s.groups.works(row, s.batch);
  const std::ptrdiff_t slot = s.slot.offset(s.groups);
  const RowField<Lanes> field{s, at, works ? s.dimension : 0, slot};
  float divergence = 0.f;
  for (int i = at.lane; i < field.end; i += Lanes) {
    rates.f[std::size_t(row) * rates.f_stride + i] = field.velocity(i);
    if (s.tangents > 0 && !s.eps) divergence += s.tangent[slot + field.entry(i, i)];
    for (int k = 0; s.eps && k < s.tangents; ++k)
      divergence = fmaf(s.eps[field.entry(k, i)], s.tangent[slot + field.entry(k, i)], divergence);
  }
  divergence *= s.weight;
  const float* const left = s.closed_left + (s.closed_left_on_tape ? slot : 0);
  for (int j = at.lane; works && j < s.closed_width; j += Lanes)
    divergence = fmaf(left[std::size_t(row / s.closed_left_rows) * s.closed_width + j],
                      s.closed_right[slot + std::size_t(row) * s.closed_width + j], divergence);
  divergence = at.sum(divergence);
  const bool writes = works && at.lane == 0;
  const std::size_t first = std::size_t(row) * rates.stride;
  if (writes && rates.divergence)
    rates.divergence[first] = s.residual ? divergence - s.dimension : divergence;
  for (int r = 0; rates.regularisers && r < s.regularisers.count; ++r) {
    const float rate = s.direction * integrand(s.regularisers[r], field);
    if (writes) rates.regularisers[first + r] = rate;
  }
}

template <int Lanes>
__global__ void __launch_bounds__(kRowThreads)
    write_row_seeds(const __grid_constant__ SeedArguments a) {
  const FieldArguments& s = a.field;
  const RowLane<Lanes> at;
  const int row = at.row;
  const bool works = s.groups.works(row, s.batch);
  const RowField<Lanes> field{s, at, works ? s.dimension : 0, 0};
  const std::size_t first = std::size_t(row) * a.bars.stride;
  const float divergence_bar =
      works && a.bars.divergence ? a.bars.divergence[first] * s.weight : 0.f;
  for (int i = at.lane; i < field.end; i += Lanes) {
    a.value_bar[field.entry(0, i)] = a.bars.f[std::size_t(row) * a.bars.f_stride + i];
    for (int k = 0; k < s.tangents; ++k)
      a.tangent_bar[field.entry(k, i)] = field.eps(k, i) * divergence_bar;
  }
  for (int r = 0; a.bars.regularisers && r < s.regularisers.count; ++r)
    pull_integrand(s.regularisers[r], field,
                   works ? s.direction * a.bars.regularisers[first + r] : 0.f, a.value_bar,
                   a.tangent_bar);
  for (int i = at.lane; i < field.end; i += Lanes) {
    float& z_bar = a.z_bar[std::size_t(row) * a.z_bar_stride + i];
    const float past = s.residual ? -a.sign * a.value_bar[field.entry(0, i)] : 0.f;
    z_bar = a.adds ? z_bar + past : past;
  }
}

}  // namespace

RegulariserList::RegulariserList(const Regularisers& regularisers, int dimension) {
  for (const Regulariser* one : regularisers) {
    sums[count] = one->sum;
    roots[count] = one->root;
    scales[count++] = static_cast<float>(one->scale(dimension));
  }
}

void write_rates(const FieldArguments& arguments, const FieldColumns<float>& rates,
                 const Stream& stream) {
  with_lanes(std::max(arguments.dimension, arguments.closed_width), [&](auto lanes) {
    launch("write_row_rates", write_row_rates<lanes>, row_shape(arguments.batch, lanes), stream,
           arguments, rates);
  });
}

void write_seeds(const SeedArguments& arguments, const Stream& stream) {
  with_lanes(arguments.field.dimension, [&](auto lanes) {
    launch("write_row_seeds", write_row_seeds<lanes>, row_shape(arguments.field.batch, lanes),
           stream, arguments);
  });
}

}  // namespace ffjord::cuda
