#include "cuda/device/grid.h"
#include "cuda/net/pixel_sums.h"
#include "cuda/step/row_lanes.h"

namespace ffjord::cuda {
namespace {

// A warp for each sample.
__global__ void __launch_bounds__(kRowThreads) sum_times(PixelTimes s) {
  const RowLane<32> at;
  const bool works = s.groups.works(at.row, s.batch);
  float sum = 0.f;
  if (works)
    for (int part = 0; part < s.parts; ++part)
      for (int pixel = at.lane; pixel < s.pixels; pixel += 32)
        sum += s.pixel_bars[(std::size_t(part) * s.batch + at.row) * s.pixels + pixel];
  sum = at.sum(sum);
  if (works && at.lane == 0) s.time_bars[at.row] = sum;
}

// One thread for each sample and unit.
__global__ void add_terms(PixelTerms s) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.units), unit = static_cast<int>(entry % s.units);
  if (!s.groups.works(row, s.batch)) return;
  float sum = 0.f;
  for (int pixel = 0; pixel < s.pixels; ++pixel)
    sum += s.bars[(std::size_t(row) * s.pixels + pixel) * s.units + unit];
  float& term = s.terms.data[std::size_t(row) * s.terms.stride + s.first + unit];
  term = fmaf(s.terms.sign, sum, term);
}

}  // namespace

void sum_pixel_times(const PixelTimes& s, const Stream& stream) {
  launch("sum_times", sum_times, row_shape(s.batch, 32), stream, s);
}

void add_pixel_terms(const PixelTerms& s, const Stream& stream) {
  launch("add_terms", add_terms, flat_shape(std::size_t(s.batch) * s.units), stream, s);
}

}  // namespace ffjord::cuda
