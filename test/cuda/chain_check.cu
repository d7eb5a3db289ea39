// Products whose operands stay in registers (fused_chain_tile.h), against float64: at most twice
// the error of float32.
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

#include "cuda/fused/fused_chain_tile.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;

using Tile = ffjord::cuda::FusedChainTile<2>;

// c (2, rows, width) = a (2, rows, depth) b (depth, width), of which one block has all rows.
__global__ void __launch_bounds__(Tile::kThreads)
    chained_product(const float* a, const float* b, int depth, int width, unsigned largest,
                    float* c) {
  uint4* const weights = &ffjord::cuda::shared_memory<uint4>();
  const int exponent = ffjord::cuda::scale_exponent(largest);
  Tile::split_weights(b, depth, width, ffjord::cuda::power_of_two(exponent), weights);
  __syncthreads();
  Tile::Entries entries[2] = {};
#pragma unroll
  for (int channel = 0; channel < 2; ++channel)
#pragma unroll
    for (int block = 0; block < Tile::kBlocks; ++block)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        if (const int k = Tile::unit(block, e); k < depth)
          entries[channel][block][e] = a[(channel * Tile::kRows + Tile::row(e)) * depth + k];
  Tile::with_steps(depth, [&](auto count) {
    constexpr int steps = decltype(count)::value;
    Tile::Operands operands[2];
    Tile::Downs downs[2];
    for (int channel = 0; channel < 2; ++channel)
      Tile::split_entries<steps>(entries[channel], operands[channel], downs[channel]);
    for (int block = 0; 8 * block < width; ++block) {
      float sums[2][4];
      Tile::multiply_block<steps>(operands, weights + block * steps * 32, sums);
      for (int channel = 0; channel < 2; ++channel)
        for (int e = 0; e < 4; ++e)
          if (const int unit = Tile::unit(block, e); unit < width)
            c[(channel * Tile::kRows + Tile::row(e)) * width + unit] =
                sums[channel][e] * downs[channel][e / 2] * ffjord::cuda::power_of_two(-exponent);
    }
  });
}

/// Operands of a layer's product.
struct Product {
  std::string name;
  int depth, width;
  std::vector<float> a, b;  ///< (2, rows, depth), (depth, width)
};

std::vector<float> multiply(const Product& one, const Stream& stream) {
  float largest = 0;
  for (const float weight : one.b) largest = std::max(largest, std::abs(weight));
  const auto a = on_device(one.a, stream), b = on_device(one.b, stream);
  DeviceArray<float> c(std::size_t(2) * Tile::kRows * one.width, stream);
  const std::size_t bytes = Tile::padded(one.depth) * Tile::padded(one.width) * sizeof(float);
  launch("chained_product", chained_product, {1, Tile::kThreads, bytes}, stream, a.data(), b.data(),
         one.depth, one.width, std::bit_cast<unsigned>(largest), c.data());
  return from_device(c, stream);
}

/// RMS of the error over the RMS of the product; of the tensor cores, then of float32.
void check_product(const Product& one, Report& report, const Stream& stream) {
  const std::vector<float> c = multiply(one, stream);
  double error = 0, plain_error = 0, size = 0;
  for (int row = 0; row < 2 * Tile::kRows; ++row)
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

Product layer(const std::string& name, int depth, double scale_a, double scale_b, bool positive) {
  Product one{name, depth, depth < 33 ? 33 : 64, {}, {}};
  std::mt19937_64 generator(static_cast<unsigned>(depth));
  one.a = normal_floats(std::size_t(2) * Tile::kRows * depth, generator, scale_a);
  one.b = normal_floats(std::size_t(depth) * one.width, generator,
                        scale_b / std::sqrt(static_cast<double>(depth)));
  if (positive)
    for (float& value : one.a) value = std::log1p(std::exp(value));
  return one;
}

void check_products(Report& report, const Stream& stream) {
  std::printf("%-22s %6s %10s %10s\n", "operands", "depth", "float32", "3 x FP16");
  for (const int depth : {5, 16, 33, 64}) {
    check_product(layer("signed", depth, 1, 1, false), report, stream);
    check_product(layer("softplus", depth, 1, 1, true), report, stream);
    check_product(layer("values of 1e6", depth, 1e6, 30, false), report, stream);
    check_product(layer("tangents of 1e-9", depth, 1e-9, 1, false), report, stream);
  }
  report.finish("products in registers");
}

// A row gives the same bits whatever its neighbours hold, and what is not finite stays so.
void check_rows(Report& report, const Stream& stream) {
  Product one = layer("rows", 64, 1, 1, false);
  const std::vector<float> before = multiply(one, stream);
  const float strange[] = {std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::infinity(), 1e30f, 1e-30f, 0.f};
  for (int i = 0; i < 5; ++i)
    for (int k = 0; k < one.depth; ++k) {
      float& value = one.a[3 * i * one.depth + k];
      value = k == 7 || std::isfinite(strange[i]) ? strange[i] : value;
    }
  const std::vector<float> after = multiply(one, stream);
  for (int row = 0; row < 2 * Tile::kRows; ++row)
    for (int unit = 0; unit < one.width; ++unit) {
      const float value = after[row * one.width + unit];
      if (row % 3 > 0 || row >= 15)
        report.expect("a neighbour", value == before[row * one.width + unit]);
      else
        report.expect("a strange row", std::isfinite(value) == (row > 3));
    }
  report.finish("rows by themselves");
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const Stream stream;
  check_products(report, stream);
  check_rows(report, stream);
  return report.failures() > 0;
}
