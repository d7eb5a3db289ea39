#include "cuda/net/blend_time.h"
#include "cuda/step/row_lanes.h"

namespace ffjord::cuda {
namespace {

template <int Lanes>
__global__ void __launch_bounds__(kRowThreads)
    blend_row_times(const __grid_constant__ BlendTimes s) {
  const RowLane<Lanes> at;
  const int row = at.row;
  const bool works = row < s.batch && s.groups.of_row(row).working;
  float sum = 0.f;
  if (works)
    for (int k = at.lane; k < s.in; k += Lanes) {
      const std::size_t entry = std::size_t(row) * s.in + k, size = std::size_t(s.batch) * s.in;
      sum = fmaf(s.second[entry], s.input.value[std::size_t(row) * s.input.value_stride + k], sum);
      for (int c = 0; c < s.tangents; ++c) {
        const float tangent =
            s.input.tangents ? s.input.tangents[c * size + entry] : (c == k ? 1.f : 0.f);
        sum = fmaf(s.second[(c + 1) * size + entry], tangent, sum);
      }
    }
  sum = at.sum(sum);
  if (works && at.lane == 0) s.time_bars[row] = sum;
}

}  // namespace

void write_blend_times(const BlendTimes& arguments, const Stream& stream) {
  with_lanes(arguments.in, [&](auto lanes) {
    launch("blend_row_times", blend_row_times<lanes>, row_shape(arguments.batch, lanes), stream,
           arguments);
  });
}

}  // namespace ffjord::cuda
