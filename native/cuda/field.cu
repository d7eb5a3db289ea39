#include <algorithm>

#include "cuda/field.h"
#include "cuda/row_lanes.h"

namespace ffjord::cuda {
namespace {

__device__ float noise(const FieldArguments& s, int k, int row, int i) {
  if (!s.eps) return i == k ? 1.f : 0.f;
  return s.eps[(std::size_t(k) * s.batch + row) * s.dimension + i];
}

// f of the net's output, J ε_k of its tangents.
__device__ float field(const FieldArguments& s, int row, int i) {
  const float output = s.output[std::size_t(row) * s.dimension + i];
  return s.residual ? output - s.z[std::size_t(row) * s.z_stride + i] : output;
}

template <int Lanes>
__global__ void __launch_bounds__(kRowThreads)
    write_row_rates(const __grid_constant__ FieldArguments s, FieldColumns<float> rates) {
  const RowLane<Lanes> at;
  const int row = at.row;
  const bool works = row < s.batch && s.groups.of_row(row).working;
  float divergence = 0.f, kinetic = 0.f, jacobian = 0.f;
  if (works) {
    for (int i = at.lane; i < s.dimension; i += Lanes) {
      const float f = field(s, row, i);
      rates.f[std::size_t(row) * rates.f_stride + i] = f;
      kinetic = fmaf(f, f, kinetic);
      for (int k = 0; k < s.tangents; ++k) {
        const float eps = noise(s, k, row, i);
        float tangent = s.tangent[(std::size_t(k) * s.batch + row) * s.dimension + i];
        divergence = fmaf(eps, tangent, divergence);
        if (s.residual) tangent -= eps;
        jacobian = fmaf(tangent, tangent, jacobian);
      }
    }
    divergence *= s.weight;
    for (int j = at.lane; j < s.closed_width; j += Lanes)
      divergence = fmaf(s.closed_left[std::size_t(row / s.closed_left_rows) * s.closed_width + j],
                        s.closed_right[std::size_t(row) * s.closed_width + j], divergence);
  }
  divergence = at.sum(divergence);
  kinetic = at.sum(kinetic);
  jacobian = at.sum(jacobian);
  if (!works || at.lane != 0) return;
  if (rates.divergence)
    rates.divergence[std::size_t(row) * rates.stride] =
        s.residual ? divergence - s.dimension : divergence;
  if (!rates.regularisers) return;
  float* regulariser = rates.regularisers + std::size_t(row) * rates.stride;
  if (s.kinetic) *regulariser++ = s.direction * kinetic * (0.5f / s.dimension);
  if (s.jacobian) *regulariser = s.direction * jacobian * (s.weight / s.dimension);
}

template <int Lanes>
__global__ void __launch_bounds__(kRowThreads)
    write_row_seeds(const __grid_constant__ SeedArguments a) {
  const FieldArguments& s = a.field;
  const RowLane<Lanes> at;
  const int row = at.row;
  if (row >= s.batch || !s.groups.of_row(row).working) return;
  const std::size_t bar_at = std::size_t(row) * a.bars.stride;
  const float divergence_bar = a.bars.divergence ? a.bars.divergence[bar_at] * s.weight : 0.f;
  float kinetic_bar = 0.f, jacobian_bar = 0.f;
  if (a.bars.regularisers) {
    const float* regulariser = a.bars.regularisers + bar_at;
    if (s.kinetic) kinetic_bar = s.direction * *regulariser++ / s.dimension;
    if (s.jacobian) jacobian_bar = s.direction * *regulariser * (2 * s.weight / s.dimension);
  }
  for (int i = at.lane; i < s.dimension; i += Lanes) {
    const std::size_t entry = std::size_t(row) * s.dimension + i;
    const float f_bar = fmaf(kinetic_bar, s.kinetic ? field(s, row, i) : 0.f,
                             a.bars.f[std::size_t(row) * a.bars.f_stride + i]);
    a.value_bar[entry] = f_bar;
    a.z_bar[std::size_t(row) * a.z_bar_stride + i] = s.residual ? -a.sign * f_bar : 0.f;
    for (int k = 0; k < s.tangents; ++k) {
      const std::size_t tangent_entry = std::size_t(k) * s.batch * s.dimension + entry;
      const float eps = noise(s, k, row, i);
      const float tangent = s.tangent[tangent_entry] - (s.residual ? eps : 0.f);
      a.tangent_bar[tangent_entry] =
          fmaf(jacobian_bar, s.jacobian ? tangent : 0.f, eps * divergence_bar);
    }
  }
}

}  // namespace

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
