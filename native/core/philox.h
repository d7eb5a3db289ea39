// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011).
// A draw depends on its place alone (seed, call, probe, block, row, element), so that noise is the
// same on every engine, for any number of threads and for a batch that was cut in pieces.
//
// Constexpr, and a template where it calls <cmath>, for the same reason as step_rule.h: a device
// draws by the same lines.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>

namespace ffjord {

using PhiloxBlock = std::array<std::uint32_t, 4>;

constexpr PhiloxBlock philox(PhiloxBlock counter, std::uint64_t seed) {
  auto key0 = static_cast<std::uint32_t>(seed);
  auto key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(p0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

enum class NoiseLaw { Gaussian, Rademacher, Uniform };

/// Block numbers above all CNF blocks: base samples, the initial weights, random end times.
inline constexpr std::uint32_t kBaseBlock = 0xFFFF;
inline constexpr std::uint32_t kInitialBlock = 0xFFFE;
inline constexpr std::uint32_t kEndTimeBlock = 0xFFFD;
/// Of a variational autoencoder: a point of the encoder's Gaussian, and pixels of a given mean.
inline constexpr std::uint32_t kLatentBlock = 0xFFFC;
inline constexpr std::uint32_t kPixelBlock = 0xFFFB;

/// Where a draw stands: which generator and which call of it.
struct NoiseKey {
  std::uint64_t seed = 0;
  std::uint32_t call = 0;
  std::uint32_t block = 0;
  std::uint32_t probe = 0;
};

constexpr double uniform(std::uint32_t word) {
  return static_cast<double>(word >> 8) * 0x1p-24 + 0x1p-25;  // in (0, 1)
}

/// The same in float32, and below 1 too: the nearest number to the last of them is 1, which is not
/// less than a probability of 1.
constexpr float uniform_float32(std::uint32_t word) {
  const float rounded = static_cast<float>(uniform(word));
  return rounded < 1.0f ? rounded : 1.0f - 0x1p-24f;
}

/// Four neighbouring elements of a row; normals by Box-Muller in float64, rounded to float32.
template <class Double = double>
constexpr std::array<float, 4> draw4(NoiseLaw law, const NoiseKey& key, std::uint32_t row,
                                     std::uint32_t quad) {
  const PhiloxBlock words = philox({row, quad, key.probe << 16 | key.block, key.call}, key.seed);
  std::array<float, 4> values{};
  switch (law) {
    case NoiseLaw::Rademacher:
      for (int i = 0; i < 4; ++i) values[i] = words[i] >> 31 ? -1.0f : 1.0f;
      break;
    case NoiseLaw::Uniform:
      for (int i = 0; i < 4; ++i) values[i] = uniform_float32(words[i]);
      break;
    case NoiseLaw::Gaussian:
      for (int i = 0; i < 4; i += 2) {
        const Double r = std::sqrt(Double(-2) * std::log(Double(uniform(words[i]))));
        const Double angle = Double(2) * std::numbers::pi * uniform(words[i + 1]);
        values[i] = static_cast<float>(r * std::cos(angle));
        values[i + 1] = static_cast<float>(r * std::sin(angle));
      }
      break;
  }
  return values;
}

/// Fills `values` (rows, columns); rows are numbered from `row_offset`.
template <class Real>
void fill_noise(NoiseLaw law, const NoiseKey& key, std::uint32_t row_offset, std::size_t columns,
                std::span<Real> values) {
  const std::size_t rows = columns == 0 ? 0 : values.size() / columns;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t quad = 0; 4 * quad < columns; ++quad) {
      const auto four = draw4(law, key, row_offset + static_cast<std::uint32_t>(row),
                              static_cast<std::uint32_t>(quad));
      for (std::size_t i = 0; i < 4 && 4 * quad + i < columns; ++i)
        values[row * columns + 4 * quad + i] = static_cast<Real>(four[i]);
    }
  }
}

}  // namespace ffjord
