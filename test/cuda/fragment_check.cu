// Products of small nets by fragments (fused_fragment_tile.h), against float64: at most twice the
// error of float32.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "cuda/fused/fused_fragment_tile.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using ffjord::cuda::FusedFragmentTile;

template <class Tile>
struct Memory {
  typename Tile::Operand operands[Tile::kParts];
  uint4 weights[Tile::kWarps * Tile::kSteps * 2 * 32];
};

// c (channels, rows, width) = a (channels, rows, depth) b (depth, width), of which one block has
// all rows.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    fragment_product(const float* a, const float* b, int depth, int width, float largest,
                     float* c) {
  Memory<Tile>& memory = ffjord::cuda::shared_memory<Memory<Tile>>();
  const ffjord::cuda::HalfScale scale = ffjord::cuda::half_scale(largest);
  const int warps = Tile::padded(width) / Tile::kStep;
  Tile::split_weights(b, depth, width, warps, scale.up, memory.weights);
  const auto for_entries = [&](int part, const auto& visit) {
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
      for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
        for (int u = 0; u < 4; ++u)
          visit(octet, channel, u, channel * Tile::kRows + Tile::row(part, octet));
  };
  for (int part = 0; part < Tile::kParts; ++part) {
    typename Tile::Entries entries;
    for_entries(part, [&](int octet, int channel, int u, int row) {
      const int k = Tile::unit(u);
      entries[octet][channel][u] = k < depth ? a[row * depth + k] : 0.f;
    });
    Tile::hand_over(entries, memory.operands[part]);
  }
  __syncthreads();
  if (ffjord::cuda::warp_index() >= warps) return;
  typename Tile::Weights weights;
  Tile::load_weights(memory.weights, weights);
  for (int part = 0; part < Tile::kParts; ++part) {
    typename Tile::Entries sums;
    Tile::multiply(memory.operands[part], weights, sums);
    for_entries(part, [&](int octet, int channel, int u, int row) {
      if (const int unit = Tile::unit(u); unit < width)
        c[row * width + unit] = sums[octet][channel][u] * scale.down;
    });
  }
}

/// Operands of a layer's product.
struct Product {
  std::string name;
  int depth, width;
  std::vector<float> a, b;  ///< (channels, rows, depth), (depth, width)
};

template <class Tile>
std::vector<float> multiply(const Product& one, const Stream& stream) {
  float largest = 0;
  for (const float weight : one.b) largest = std::max(largest, std::abs(weight));
  const auto a = on_device(one.a, stream), b = on_device(one.b, stream);
  DeviceArray<float> c(std::size_t(Tile::kChannels) * Tile::kRows * one.width, stream);
  launch("fragment_product", fragment_product<Tile>, {1, Tile::kThreads, sizeof(Memory<Tile>)},
         stream, a.data(), b.data(), one.depth, one.width, largest, c.data());
  return from_device(c, stream);
}

/// RMS of the error over the RMS of the product; of the tensor cores, then of float32.
template <class Tile>
void check_product(const Product& one, Report& report, const Stream& stream) {
  const std::vector<float> c = multiply<Tile>(one, stream);
  double error = 0, plain_error = 0, size = 0;
  for (int row = 0; row < Tile::kChannels * Tile::kRows; ++row)
    for (int unit = 0; unit < one.width; ++unit) {
      double sum = 0;
      float plain = 0;
      for (int k = 0; k < one.depth; ++k) {
        const float x = one.a[row * one.depth + k], w = one.b[k * one.width + unit];
        sum += static_cast<double>(x) * w;
        plain = std::fma(x, w, plain);
      }
      error += std::pow(c[row * one.width + unit] - sum, 2);
      plain_error += std::pow(plain - sum, 2);
      size += sum * sum;
    }
  error = std::sqrt(error / size);
  plain_error = std::sqrt(plain_error / size);
  std::printf("%-22s %6d %10.2e %10.2e\n", one.name.c_str(), one.depth, plain_error, error);
  // In a sum of few terms float32 errs less than an ulp, and 22 bits do not reach that.
  report.expect(one.name + ", depth " + std::to_string(one.depth), error,
                std::max(0x1p-23, 2 * plain_error));
}

template <class Tile>
Product layer(const std::string& name, int depth, double scale_a, double scale_b, bool positive) {
  Product one{name, depth, depth < 33 ? 33 : depth - 1, {}, {}};
  std::mt19937_64 generator(static_cast<unsigned>(depth));
  one.a = normal_floats(std::size_t(Tile::kChannels) * Tile::kRows * depth, generator, scale_a);
  one.b = normal_floats(std::size_t(depth) * one.width, generator,
                        scale_b / std::sqrt(static_cast<double>(depth)));
  if (positive)
    for (float& value : one.a) value = std::log1p(std::exp(value));
  return one;
}

template <class Tile>
void check_products(Report& report, const Stream& stream) {
  std::printf("%-22s %6s %10s %10s\n", "operands", "depth", "float32", "3 x FP16");
  for (const int depth : {5, 16, 33, Tile::kMostUnits}) {
    check_product<Tile>(layer<Tile>("signed", depth, 1, 1, false), report, stream);
    check_product<Tile>(layer<Tile>("softplus", depth, 1, 1, true), report, stream);
    check_product<Tile>(layer<Tile>("values of 1e6", depth, 1e6, 30, false), report, stream);
    check_product<Tile>(layer<Tile>("values of 1e-9", depth, 1e-9, 1, false), report, stream);
    check_product<Tile>(layer<Tile>("values of 1e9", depth, 1e9, 1e-9, false), report, stream);
  }
  report.finish("products by " + std::to_string(Tile::kWarps) + " warps of " +
                std::to_string(Tile::kRows) + " rows of " + std::to_string(Tile::kChannels));
}

// A row gives the same bits whatever its neighbours hold, and what is not finite stays so.
template <class Tile>
void check_rows(Report& report, const Stream& stream) {
  Product one = layer<Tile>("rows", 64, 1, 1, false);
  const std::vector<float> before = multiply<Tile>(one, stream);
  const float strange[] = {std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::infinity(), 1e30f, 1e-30f, 0.f};
  for (int i = 0; i < 5; ++i)
    for (int k = 0; k < one.depth; ++k) {
      float& value = one.a[3 * i * one.depth + k];
      value = k == 7 || std::isfinite(strange[i]) ? strange[i] : value;
    }
  const std::vector<float> after = multiply<Tile>(one, stream);
  for (int row = 0; row < Tile::kChannels * Tile::kRows; ++row)
    for (int unit = 0; unit < one.width; ++unit) {
      const float value = after[row * one.width + unit];
      if (row % 3 > 0 || row >= 15)
        report.expect("a neighbour", value == before[row * one.width + unit]);
      else
        report.expect("a strange row", std::isfinite(value) == (row > 3));
    }
  report.finish("rows by themselves");
}

__global__ void make_scales(const float* largest, ffjord::cuda::HalfScale* scales) {
  scales[threadIdx.x] = ffjord::cuda::half_scale(largest[threadIdx.x]);
}

// Both factors of a scale are normal, and it brings what is not very small to the halves' range.
void check_scales(Report& report, const Stream& stream) {
  const std::vector<float> largest{0.f,
                                   1e-45f,
                                   1e-38f,
                                   1e-30f,
                                   0.9f,
                                   1.f,
                                   3e38f,
                                   std::numeric_limits<float>::infinity(),
                                   std::numeric_limits<float>::quiet_NaN()};
  const auto values = on_device(largest, stream);
  DeviceArray<ffjord::cuda::HalfScale> scales(largest.size(), stream);
  launch("make_scales", make_scales, {1, static_cast<unsigned>(largest.size())}, stream,
         values.data(), scales.data());
  const std::vector<ffjord::cuda::HalfScale> made = from_device(scales, stream);
  for (std::size_t i = 0; i < largest.size(); ++i) {
    const auto [up, down] = made[i];
    report.expect("a scale", std::isnormal(up) && std::isnormal(down) && up * down == 1);
    if (largest[i] > 1e-33f && std::isfinite(largest[i]))
      report.expect("a scaled value", largest[i] * up >= 0x1p14f && largest[i] * up < 0x1p15f);
  }
  report.finish("scales");
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const Stream stream;
  check_products<FusedFragmentTile<4, 2, 8>>(report, stream);
  check_products<FusedFragmentTile<4, 3, 16>>(report, stream);
  check_products<FusedFragmentTile<8, 4, 32>>(report, stream);
  check_rows<FusedFragmentTile<4, 2, 8>>(report, stream);
  check_rows<FusedFragmentTile<4, 3, 32>>(report, stream);
  check_scales(report, stream);
  return report.failures() > 0;
}
