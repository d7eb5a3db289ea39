// Noise that the device draws against the host's: normals within 2 ulp, the other laws bit by bit.
#include <bit>
#include <cstdint>

#include "cuda/block/noise.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using ffjord::BlockNoise;
using ffjord::NoiseLaw;

// Floats from one to the other; both are finite.
double ulps(float a, float b) {
  const auto place = [](float value) {
    const auto bits = std::bit_cast<std::int32_t>(value);
    return bits < 0 ? -std::int64_t{bits & 0x7FFFFFFF} : std::int64_t{bits};
  };
  return static_cast<double>(std::abs(place(a) - place(b)));
}

std::vector<ffjord::RowKey> keys_of_rows(std::size_t rows) {
  std::vector<float> values(rows);
  for (std::size_t row = 0; row < rows; ++row) values[row] = float(row / 2);
  return ffjord::row_keys(values, rows);
}

void check_law(Report& report, const Stream& stream, const std::string& name, NoiseLaw law,
               double tolerance) {
  // Row lengths around whole quads, an offset that wraps around 32 bits.
  for (std::size_t columns : {1, 3, 4, 43})
    for (std::uint32_t row_offset : {0u, 1000u, 0xFFFFFFF0u}) {
      BlockNoise<float> noise{3,          37, columns, law, {0x123456789ABCDEF, 7, 2, 0},
                              row_offset, {}, {}};
      if (row_offset == 1000) noise.keys = keys_of_rows(noise.batch);
      const auto expected = noise.values();
      const auto found = from_device(ffjord::cuda::make_noise(noise, stream), stream);
      report.expect("size", found.size() == expected.size() && found.size() == noise.size());
      for (std::size_t i = 0; i < expected.size(); ++i)
        report.expect("ulps", ulps(found[i], expected[i]), tolerance);
    }
  report.finish(name);
}

void check_sources(Report& report, const Stream& stream) {
  const std::vector<float> given{1, 2, 3, 4, 5, 6};
  const BlockNoise<float> noise{1, 2, 3, NoiseLaw::Gaussian, {}, 0, {}, given};
  report.expect("given values",
                from_device(ffjord::cuda::make_noise(noise, stream), stream) == given);
  report.expect("of an exact trace", ffjord::cuda::make_noise({}, stream).empty());
  report.finish("given and absent noise");
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const Stream stream;
  check_law(report, stream, "normal noise", NoiseLaw::Gaussian, 2);
  check_law(report, stream, "rademacher noise", NoiseLaw::Rademacher, 0.5);
  check_law(report, stream, "uniform noise", NoiseLaw::Uniform, 0.5);
  check_sources(report, stream);
  return report.failures() > 0;
}
