// The error of each arithmetic of a tile's product, row by row against float64: at most twice that
// of plain float32. What is not finite stays so.
#include <cmath>
#include <cstdio>
#include <limits>

#include "cuda/net/split.h"
#include "cuda/product/half_product.h"
#include "cuda/product/octet_product.h"
#include "cuda/product/products.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using ffjord::cuda::Float32;
using ffjord::cuda::Group;
using ffjord::cuda::Half3;
using ffjord::cuda::OctetLines;
using ffjord::cuda::OctetMemory;
using ffjord::cuda::OctetRows;
using ffjord::cuda::Order;
using ffjord::cuda::ProductMemory;
using ffjord::cuda::Sums;
using ffjord::cuda::Tile;
using ffjord::cuda::WarpgroupHalf3;

// c (2, rows, units) = a (2, rows, depth) b (depth, units).
template <class Tile, Order order>
__global__ void __launch_bounds__(Tile::kThreads)
    product(const float* a, const float* b, int rows, int depth, int units, float* c) {
  const int first_row = blockIdx.x * Tile::kRows, first_unit = blockIdx.y * Tile::kUnits;
  Sums<Tile, 2> sums;
  ffjord::cuda::multiply_tile<Tile, 2, order>(
      ffjord::cuda::shared_memory<ProductMemory<Tile, 2>>(), depth,
      [&](int channel, int r, int k) {
        const int row = first_row + r;
        return row < rows ? a[(std::size_t(channel) * rows + row) * depth + k] : 0.f;
      },
      [&](int k, int u) {
        const int unit = first_unit + u;
        return unit < units ? b[std::size_t(k) * units + unit] : 0.f;
      },
      sums);
#pragma unroll
  for (int channel = 0; channel < 2; ++channel)
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) {
        const int row = first_row + Tile::row(i), unit = first_unit + Tile::unit(j);
        if (row < rows && unit < units)
          c[(std::size_t(channel) * rows + row) * units + unit] = sums[channel][i][j];
      }
}

// The same of prepared operands.
template <class Arithmetic, int Units>
__global__ void __launch_bounds__(ffjord::cuda::kOctetThreads)
    octet_product(OctetRows a, OctetLines b, ffjord::cuda::OctetTaps taps, int rows, float* c) {
  auto& memory = ffjord::cuda::shared_memory<OctetMemory<Arithmetic, Units>>();
  ffjord::cuda::OctetSums<Units> sums;
  ffjord::cuda::multiply_octets<Arithmetic, Units>(
      memory,
      {{a.slab(blockIdx.x, 0, 0), a.slab(blockIdx.x, 1, 0)},
       {a.down_of(blockIdx.x, 0, 0), a.down_of(blockIdx.x, 1, 0)},
       b.slab(blockIdx.y, 0),
       true,
       a.slab_count(),
       ffjord::cuda::OctetSteps::of(a.lines.plane()),
       taps},
      sums);
  ffjord::cuda::place_sums<Units>(sums, memory.tile);
  __syncthreads();
  for (int e = threadIdx.x; e < 2 * 64 * Units; e += ffjord::cuda::kOctetThreads) {
    const int unit = e % Units, r = e / Units % 64, channel = e / Units / 64;
    const int row = 64 * blockIdx.x + r, at = Units * blockIdx.y + unit;
    if (row < rows && at < b.lines)
      c[(std::size_t(channel) * rows + row) * b.lines + at] =
          memory.tile[channel][r][unit] * b.down[at];
  }
}

/// Operands of a layer's product.
struct Case {
  std::string name;
  int rows, depth, units;
  std::vector<float> a, b;  ///< (2, rows, depth), (depth, units)
};

template <class Tile, Order order>
std::vector<float> product_of(const Case& one, const Stream& stream) {
  const auto a = on_device(one.a, stream), b = on_device(one.b, stream);
  DeviceArray<float> d_c(std::size_t(2) * one.rows * one.units, stream);
  const auto tiles = [](int count, int size) {
    return static_cast<unsigned>((count + size - 1) / size);
  };
  const LaunchShape shape{dim3(tiles(one.rows, Tile::kRows), tiles(one.units, Tile::kUnits)),
                          dim3(Tile::kThreads), sizeof(ProductMemory<Tile, 2>)};
  launch("product", product<Tile, order>, shape, stream, a.data(), b.data(), one.rows, one.depth,
         one.units, d_c.data());
  return from_device(d_c, stream);
}

template <class Arithmetic, int Units>
std::vector<float> octet_product_of(const Case& one, const Stream& stream) {
  std::vector<float> lines(one.b.size());
  for (int k = 0; k < one.depth; ++k)
    for (int unit = 0; unit < one.units; ++unit)
      lines[std::size_t(unit) * one.depth + k] = one.b[std::size_t(k) * one.units + unit];
  std::vector<Group> working(1);
  working[0].working = 1;
  auto group = on_device(working, stream);
  const auto a = on_device(one.a, stream), b = on_device(lines, stream);
  ffjord::cuda::SplitArguments s;
  s.groups = {group.data(), 1, one.rows};
  s.batch = one.rows;
  s.tangents = 1;
  s.input = {a.data(), one.depth, a.data() + std::size_t(one.rows) * one.depth};
  const auto rows = ffjord::cuda::RowLines::of_rows(one.rows);
  DeviceArray<uint4> slabs(ffjord::cuda::octets_of_rows(rows, 2, one.depth), stream);
  DeviceArray<float> scales(ffjord::cuda::scales_of_rows(rows, 2, one.depth), stream);
  s.rows = {slabs.data(), scales.data(), 2, one.depth, rows};
  ffjord::cuda::split_rows(s, stream);
  OctetLines weights{nullptr, nullptr, one.units, one.depth};
  DeviceArray<uint4> weight_slabs(weights.octets(), stream);
  DeviceArray<float> weight_scales(weights.padded(), stream);
  weights.slabs = weight_slabs.data();
  weights.down = weight_scales.data();
  ffjord::cuda::split_weights(b.data(), weights, stream);
  DeviceArray<float> c(std::size_t(2) * one.rows * one.units, stream);
  launch("octet_product", octet_product<Arithmetic, Units>,
         LaunchShape{dim3((one.rows + 63) / 64, weights.tiles()), dim3(ffjord::cuda::kOctetThreads),
                     sizeof(OctetMemory<Arithmetic, Units>)},
         stream, s.rows, weights, ffjord::cuda::OctetTaps(), one.rows, c.data());
  return from_device(c, stream);
}

/// A row's error over its size, in the quadratic mean.
double error_of(const std::vector<float>& c, const Case& one) {
  double sum_of_squares = 0;
  for (int row = 0; row < 2 * one.rows; ++row) {
    double error = 0, size = 0;
    for (int unit = 0; unit < one.units; ++unit) {
      double sum = 0;
      for (int k = 0; k < one.depth; ++k)
        sum += static_cast<double>(one.a[std::size_t(row) * one.depth + k]) *
               one.b[std::size_t(k) * one.units + unit];
      error += std::pow(c[std::size_t(row) * one.units + unit] - sum, 2);
      size += sum * sum;
    }
    sum_of_squares += error / size;
  }
  return std::sqrt(sum_of_squares / (2 * one.rows));
}

template <class Tile, Order order = Order::AlongDepth>
double error_of(const Case& one, const Stream& stream) {
  return error_of(product_of<Tile, order>(one, stream), one);
}
template <class Arithmetic>
double octet_error_of(const Case& one, const Stream& stream) {
  return error_of(one.units > 64 ? octet_product_of<Arithmetic, 128>(one, stream)
                                 : octet_product_of<Arithmetic, 64>(one, stream),
                  one);
}

Case layer(const std::string& name, int depth, double scale_a, double scale_b, bool positive,
           int units = 24) {
  Case one{name, 40, depth, units, {}, {}};
  std::mt19937_64 generator(static_cast<unsigned>(depth));
  one.a = normal_floats(std::size_t(2) * one.rows * depth, generator, scale_a);
  one.b = normal_floats(std::size_t(depth) * one.units, generator,
                        scale_b / std::sqrt(static_cast<double>(depth)));
  if (positive)
    for (float& value : one.a) value = std::log1p(std::exp(value));
  return one;
}

/// Values and cotangents that differ by powers of ten from row to row.
Case uneven(const std::string& name, int depth, int powers) {
  Case one = layer(name, depth, 1, 1, false);
  for (int row = 0; row < 2 * one.rows; ++row)
    for (int k = 0; k < depth; ++k)
      one.a[std::size_t(row) * depth + k] *=
          static_cast<float>(std::pow(10., -(row % (powers + 1))));
  return one;
}

/// Entries that are not finite spoil the sums that hold them, and no others.
template <class Product>
void check_not_finite(const std::string& name, Report& report, const Product& product) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr int row = 3, unit = 5, depth = 70;
  for (const float value : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    Case one = layer("not finite", depth, 1, 1, false);
    one.a[row * depth + 40] = value;
    one.b[50 * one.units + unit] = value;
    const std::vector<float> c = product(one);
    for (int i = 0; i < 2 * one.rows; ++i)
      for (int j = 0; j < one.units; ++j)
        report.expect(name + ", not finite",
                      std::isfinite(c[i * one.units + j]) == (i != row && j != unit));
  }
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const Stream stream;
  const Case cases[] = {layer("tanh-like", 64, 1, 1, false),
                        layer("softplus", 64, 1, 1, true),
                        layer("softplus", 860, 1, 1, true),
                        layer("signed", 860, 1, 1, false),
                        layer("short", 5, 1, 1, false),
                        layer("cotangents of 1e-9", 200, 1e-9, 1, false),
                        layer("values of 1e6", 200, 1e6, 30, false),
                        layer("wide", 96, 1, 1, false, 150),
                        uneven("rows 1e-6 to 1", 100, 6),
                        uneven("rows 1e-9 to 1", 100, 9)};
  // On other cards there is nothing to be shown of it.
  const bool by_warpgroups = ffjord::cuda::has_warpgroup_products();
  std::printf("%-22s %6s %10s %10s %10s %10s %10s\n", "operands", "depth", "float32", "3 x FP16",
              "warpgroup", "prepared", "warpgroup");
  for (const Case& one : cases) {
    const double plain = error_of<Tile<64, 64>>(one, stream);
    const double half = error_of<Tile<64, 64, Half3>>(one, stream);
    const double group = by_warpgroups ? error_of<Tile<64, 64, WarpgroupHalf3>>(one, stream) : half;
    const double octets = octet_error_of<Half3>(one, stream);
    const double octets_of_group =
        by_warpgroups ? octet_error_of<WarpgroupHalf3>(one, stream) : octets;
    std::printf("%-22s %6d %10.2e %10.2e %10.2e %10.2e %10.2e\n", one.name.c_str(), one.depth,
                plain, half, group, octets, octets_of_group);
    report.expect("float32, " + one.name, plain, 2e-6);
    // In a sum of few terms float32 errs less than an ulp, and 22 bits do not reach that; the
    // engine takes float32 there.
    const double bound = one.depth < Tile<64, 64>::kDepth ? 0x1p-23 : 2 * plain;
    report.expect("3 x FP16, " + one.name, half, bound);
    report.expect("3 x FP16 by warpgroups, " + one.name, group, bound);
    report.expect("prepared, " + one.name, octets, bound);
    report.expect("prepared, by warpgroups, " + one.name, octets_of_group, bound);
    for (const double same : {error_of<Tile<32, 32, Half3>, Order::AlongRows>(one, stream) / half,
                              error_of<Tile<32, 32>, Order::AlongRows>(one, stream) / plain})
      report.expect("small tiles, " + one.name, std::abs(same - 1), 1);
    if (by_warpgroups)
      report.expect("along rows, " + one.name,
                    error_of<Tile<64, 64, WarpgroupHalf3>, Order::AlongRows>(one, stream) == group);
  }
  const auto tile_product = [&]<class Tile, Order order>() {
    return [&](const Case& one) { return product_of<Tile, order>(one, stream); };
  };
  check_not_finite("float32", report, tile_product.operator()<Tile<64, 64>, Order::AlongDepth>());
  check_not_finite("3 x FP16", report,
                   tile_product.operator()<Tile<64, 64, Half3>, Order::AlongDepth>());
  check_not_finite("prepared", report,
                   [&](const Case& one) { return octet_product_of<Half3, 64>(one, stream); });
  if (by_warpgroups) {
    check_not_finite("warpgroups", report,
                     tile_product.operator()<Tile<64, 64, WarpgroupHalf3>, Order::AlongRows>());
    check_not_finite("prepared, warpgroups", report, [&](const Case& one) {
      return octet_product_of<WarpgroupHalf3, 64>(one, stream);
    });
  }
  report.finish("products of tiles");
  return report.failures() > 0;
}
