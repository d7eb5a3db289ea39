// The error of 3 × 3 convolutions on prepared operands against float64, at most twice that of a sum
// in float32: products over taps and channels and their transposes, and weight gradients, of images
// of odd sizes, of pixels and images that differ by powers of ten.
#include <cmath>
#include <cstdio>

#include "cuda/net/octet_tile.h"
#include "cuda/net/split.h"
#include "cuda/net/weight_gradient.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using ffjord::Convolution;
using ffjord::LinearMap;
using ffjord::Plane;
using ffjord::cuda::Group;
using ffjord::cuda::Half3;
using ffjord::cuda::OctetFactors;
using ffjord::cuda::OctetLines;
using ffjord::cuda::OctetMemory;
using ffjord::cuda::OctetTaps;
using ffjord::cuda::OuterArguments;
using ffjord::cuda::RowLines;

constexpr int kTaps = 9;

/// A value and a tangent of images, (2, samples, pixels, in), and what they are multiplied by.
struct Case {
  std::string name;
  Plane image;
  int samples, in, out;
  double smallest_pixel = 1, smallest_image = 1;

  int rows() const { return samples * static_cast<int>(image.size()); }
};

/// The row that a tap leads to; −1: none.
int row_at(const Case& one, int row, int tap) {
  const int pixels = static_cast<int>(one.image.size()), width = one.image.width;
  const int y = row % pixels / width + tap / 3 - 1, x = row % width + tap % 3 - 1;
  if (y < 0 || x < 0 || y >= one.image.height || x >= width) return -1;
  return row / pixels * pixels + y * width + x;
}

std::vector<float> entries(const Case& one, int channels, std::mt19937_64& generator) {
  std::vector<float> values = normal_floats(std::size_t(2) * one.rows() * channels, generator);
  const int pixels = static_cast<int>(one.image.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const int row = static_cast<int>(i / channels % one.rows());
    const double by_pixel = std::pow(one.smallest_pixel, row % 5 / 4.);
    const double by_image = std::pow(one.smallest_image, row / pixels % 3 / 2.);
    values[i] = static_cast<float>(values[i] * by_pixel * by_image);
  }
  return values;
}

/// A row's error over its size, in the quadratic mean.
struct Error {
  double sum = 0;
  int rows = 0;
  void add(double error, double size) {
    if (size > 0) sum += error / size;
    ++rows;
  }
  double mean() const { return std::sqrt(sum / rows); }
};

template <int Units>
__global__ void __launch_bounds__(ffjord::cuda::kOctetThreads)
    tap_product(OctetFactors s, int rows, float* c) {
  auto& memory = ffjord::cuda::shared_memory<OctetMemory<Half3, Units>>();
  const ffjord::cuda::FillByProducts<Half3, Units> fill{s, memory};
  fill(0, true);
  __syncthreads();
  for (int e = threadIdx.x; e < 2 * ffjord::cuda::kTileRows * Units;
       e += ffjord::cuda::kOctetThreads) {
    const int unit = e % Units, r = e / Units % ffjord::cuda::kTileRows;
    const int row = s.rows.lines.row(blockIdx.x * ffjord::cuda::kTileRows + r);
    const int at = blockIdx.y * Units + unit;
    const int channel = e / Units / ffjord::cuda::kTileRows;
    if (row >= 0 && at < s.lines.lines)
      c[(std::size_t(channel) * rows + row) * s.lines.lines + at] =
          memory.tile[channel][r][unit] * s.lines.down[at];
  }
}

/// Errors of ours and of a sum in float32; `taps` lead where those of the case do, or to a fault.
template <int Units>
std::pair<double, double> product_errors(const Case& one, bool transposed, const OctetTaps& taps,
                                         const Stream& stream) {
  std::mt19937_64 generator(one.in + one.out);
  const std::vector<float> a = entries(one, one.in, generator);
  // (taps, out, in)
  const std::vector<float> w =
      normal_floats(std::size_t(kTaps) * one.out * one.in, generator, 0.05);
  std::vector<Group> working(1);
  working[0].working = 1;
  auto group = on_device(working, stream);
  const auto d_a = on_device(a, stream), d_w = on_device(w, stream);
  const RowLines lines = RowLines::of_pixels(one.image, one.samples);
  ffjord::cuda::SplitArguments split;
  split.groups = {group.data(), 1, one.rows()};
  split.batch = one.rows();
  split.tangents = 1;
  split.input = {d_a.data(), one.in, d_a.data() + std::size_t(one.rows()) * one.in};
  DeviceArray<uint4> slabs(ffjord::cuda::octets_of_rows(lines, 2, one.in), stream);
  DeviceArray<float> scales(ffjord::cuda::scales_of_rows(lines, 2, one.in), stream);
  slabs.fill(0, stream);
  scales.fill(0, stream);
  split.rows = {slabs.data(), scales.data(), 2, one.in, lines};
  ffjord::cuda::split_rows(split, stream);
  OctetLines weights{nullptr, nullptr, one.out, one.in};
  weights.taps = kTaps;
  DeviceArray<uint4> weight_slabs(weights.octets(), stream);
  DeviceArray<float> weight_scales(weights.padded(), stream);
  weights.slabs = weight_slabs.data();
  weights.down = weight_scales.data();
  ffjord::cuda::split_weights(d_w.data(), weights, stream);
  DeviceArray<float> d_c(std::size_t(2) * one.rows() * one.out, stream);
  launch("tap_product", tap_product<Units>,
         LaunchShape{dim3(lines.tiles(), weights.tiles()), dim3(ffjord::cuda::kOctetThreads),
                     sizeof(OctetMemory<Half3, Units>)},
         stream, OctetFactors{split.rows, weights, taps, 0}, one.rows(), d_c.data());
  const std::vector<float> c = from_device(d_c, stream);
  Error ours, plain;
  for (int row = 0; row < 2 * one.rows(); ++row) {
    const int first = row / one.rows() * one.rows();
    double error = 0, plain_error = 0, size = 0;
    for (int unit = 0; unit < one.out; ++unit) {
      double sum = 0;
      float float_sum = 0;
      for (int tap = 0; tap < kTaps; ++tap) {
        const int from = row_at(one, row - first, transposed ? kTaps - 1 - tap : tap);
        if (from < 0) continue;
        for (int k = 0; k < one.in; ++k) {
          const float x = a[std::size_t(first + from) * one.in + k];
          const float y = w[(std::size_t(tap) * one.out + unit) * one.in + k];
          sum += static_cast<double>(x) * y;
          float_sum = std::fma(x, y, float_sum);
        }
      }
      error += std::pow(c[std::size_t(row) * one.out + unit] - sum, 2);
      plain_error += std::pow(float_sum - sum, 2);
      size += sum * sum;
    }
    ours.add(error, size);
    plain.add(plain_error, size);
  }
  return {ours.mean(), plain.mean()};
}

template <int Units>
void check_product(const Case& one, bool transposed, const Stream& stream, Report& report) {
  const RowLines lines = RowLines::of_pixels(one.image, one.samples);
  OctetTaps taps = OctetTaps::of_three(lines, transposed);
  const auto [ours, plain] = product_errors<Units>(one, transposed, taps, stream);
  const std::string name = one.name + (transposed ? ", transposed" : "");
  std::printf("%-34s %10.2e %10.2e\n", name.c_str(), plain, ours);
  report.expect(name, ours, 2 * plain);
  // A tap that leads one line too far.
  ++taps.moves[4];
  --taps.moves[5];
  report.expect(name + ", a fault is seen",
                product_errors<Units>(one, transposed, taps, stream).first > 0.1);
}

void check_weights(const Case& one, const Stream& stream, Report& report) {
  std::mt19937_64 generator(one.in * one.out);
  const std::vector<float> a = entries(one, one.in, generator),
                           bar = entries(one, one.out, generator);
  std::vector<Group> working(1);
  working[0].working = 1;
  auto group = on_device(working, stream);
  const auto d_a = on_device(a, stream), d_bar = on_device(bar, stream);
  const LinearMap map = LinearMap::convolve(Convolution{{3, 3}, 1, 1}, one.in, one.out, one.image);
  auto [taps, places] = ffjord::cuda::walk_of(map);
  auto [back, back_places] = ffjord::cuda::walk_back(map);
  const auto d_places = on_device(places, stream), d_back = on_device(back_places, stream);
  taps.places = d_places.data();
  back.places = d_back.data();
  OuterArguments s;
  s.groups = {group.data(), 1, one.rows()};
  s.batch = one.rows();
  s.tangents = 1;
  s.out = one.out;
  s.in = kTaps * one.in;
  s.taps = taps;
  s.taps_back = back;
  s.image = one.image;
  s.value_bar = d_bar.data();
  s.tangent_bar = d_bar.data() + std::size_t(one.rows()) * one.out;
  s.input = {d_a.data(), one.in, d_a.data() + std::size_t(one.rows()) * one.in};
  DeviceArray<float> columns(ffjord::cuda::outer_columns(s, stream.options()), stream);
  s.columns = columns.data();
  ffjord::cuda::cut_slices(s, false, stream.options());
  report.expect(one.name + " takes prepared operands", s.columns != nullptr);
  const std::size_t size = std::size_t(one.out) * s.in;
  DeviceArray<float> slices(s.slice_count * size, stream);
  s.slices = slices.data();
  ffjord::cuda::sum_outer_products(s, stream);
  const std::vector<float> parts = from_device(slices, stream);
  Error ours, plain;
  for (int j = 0; j < one.out; ++j) {
    double error = 0, plain_error = 0, of_row = 0;
    for (int k = 0; k < s.in; ++k) {
      float found = 0, float_sum = 0;
      for (int slice = 0; slice < s.slice_count; ++slice)
        found += parts[slice * size + std::size_t(j) * s.in + k];
      double sum = 0;
      for (int row = 0; row < 2 * one.rows(); ++row) {
        const int first = row / one.rows() * one.rows();
        const int from = row_at(one, row - first, k / one.in);
        if (from < 0) continue;
        const float x = a[std::size_t(first + from) * one.in + k % one.in];
        const float y = bar[std::size_t(row) * one.out + j];
        sum += static_cast<double>(x) * y;
        float_sum = std::fma(x, y, float_sum);
      }
      error += std::pow(found - sum, 2);
      plain_error += std::pow(float_sum - sum, 2);
      of_row += sum * sum;
    }
    ours.add(error, of_row);
    plain.add(plain_error, of_row);
  }
  std::printf("%-34s %10.2e %10.2e\n", (one.name + ", weights").c_str(), plain.mean(), ours.mean());
  report.expect(one.name + ", weights", ours.mean(), 2 * plain.mean());
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const Stream stream;
  const Case cases[] = {{"8 × 8", {8, 8}, 3, 64, 64},
                        {"5 × 7, wide", {5, 7}, 2, 40, 72},
                        {"one row of pixels", {1, 11}, 4, 33, 36},
                        {"one column", {9, 1}, 3, 48, 35},
                        {"pixels 1e-9 to 1", {7, 6}, 3, 36, 40, 1e-9},
                        {"images 1e-9 to 1", {6, 5}, 4, 36, 40, 1, 1e-9}};
  std::printf("%-34s %10s %10s\n", "operands", "float32", "prepared");
  for (const Case& one : cases) {
    for (const bool transposed : {false, true})
      one.out > 64 ? check_product<128>(one, transposed, stream, report)
                   : check_product<64>(one, transposed, stream, report);
    check_weights(one, stream, report);
  }
  check_weights({"few channels", {7, 9}, 2, 3, 40}, stream, report);
  check_weights({"few units", {9, 7}, 2, 40, 2}, stream, report);
  report.finish("convolutions on prepared operands");
  return report.failures() > 0;
}
