// Images whose levels are bytes, and what a visit makes of them. Whoever reads a row gets numbers
// that are drawn for this visit: in training another dequantisation each epoch, in evaluation the
// draw that was asked for. A draw depends on its place alone (seed, visit, row, element), as in
// philox.h, and constexpr for the same reason: a device draws by the same lines, bit for bit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/philox.h"
#include "core/truncated_normal.h"

namespace ffjord {

/// The number that a level b of 0 … 255 becomes; u is uniform in (0, 1).
enum class LevelLaw {
  Share,            ///< b / 255
  Centre,           ///< (b + ½) / 256
  Uniform,          ///< (b + u) / 256, which a density in nats is defined for
  TruncatedNormal,  ///< (b + ½ + ε / 2τ) / 256, ε normal on (−τ, τ) (truncated_normal.h)
  Bernoulli,        ///< 1 with probability b / 255, else 0
};

struct VisitRule {
  LevelLaw law = LevelLaw::Share;
  bool flip = false;  ///< left and right change places in half of the visits
  std::uint64_t seed = 0;
  bool is_draw = false;    ///< every visit is that of `draw`, and flips nothing
  std::uint32_t draw = 0;  ///< which of the draws of evaluation
  std::uint32_t width = 1;
};

/// Rows of bytes as data sets keep them: (count, size), of a size that `rule.width` divides.
struct ImageBytes {
  std::span<const std::uint8_t> levels;
  std::size_t size = 0;
  VisitRule rule;
};

/// Third words of the counter: below them the core puts probe and block, and a probe is below
/// 2¹⁶ − 1; lib/data/random.ts has the streams of the host from 0xFFFF0000 on.
inline constexpr NoiseKey kVisitNoise{0, 0, 0x10, 0xFFFF};
inline constexpr NoiseKey kDrawNoise{0, 0, 0x11, 0xFFFF};
inline constexpr NoiseKey kFlips{0, 0, 0x12, 0xFFFF};

constexpr PhiloxBlock visit_words(const NoiseKey& stream, std::uint64_t seed, std::uint32_t visit,
                                  std::uint32_t row, std::uint32_t quad) {
  return philox({row, quad, stream.probe << 16 | stream.block, visit}, seed);
}

constexpr bool is_flipped(const VisitRule& rule, std::uint32_t visit, std::uint32_t row) {
  return rule.flip && !rule.is_draw && visit_words(kFlips, rule.seed, visit, row, 0)[0] >> 31;
}

/// All of it is exact in float64 but for the quotient by 255, which is rounded once, and ε.
template <class Double = double>
constexpr double number_of_level(LevelLaw law, std::uint8_t level, std::uint32_t word) {
  const double u = (static_cast<double>(word) + 0.5) * 0x1p-32;
  switch (law) {
    case LevelLaw::Centre:
      return (level + 0.5) * 0x1p-8;
    case LevelLaw::Uniform:
      return (level + u) * 0x1p-8;
    case LevelLaw::TruncatedNormal:
      return (level + 0.5 + truncated_normal<Double>(u) / (2 * kTruncation)) * 0x1p-8;
    case LevelLaw::Bernoulli:
      return u * 255 < level ? 1 : 0;
    case LevelLaw::Share:
      break;
  }
  return level / 255.0;
}

constexpr bool is_random(LevelLaw law) {
  return law == LevelLaw::Uniform || law == LevelLaw::TruncatedNormal || law == LevelLaw::Bernoulli;
}

/// The words of elements 4 quad … 4 quad + 3 of a row.
constexpr PhiloxBlock words_of_visit(const VisitRule& rule, std::uint32_t visit, std::uint32_t row,
                                     std::uint32_t quad) {
  if (!is_random(rule.law)) return {};
  const bool fixed = rule.is_draw;
  return visit_words(fixed ? kDrawNoise : kVisitNoise, rule.seed, fixed ? rule.draw : visit, row,
                     quad);
}

/// Where element `element` of a row is read.
constexpr std::size_t place_in_row(const VisitRule& rule, bool flipped, std::size_t element) {
  const std::size_t column = element % rule.width;
  return flipped ? element - column + (rule.width - 1 - column) : element;
}

/// target (indices, size) ← the rows at `indices`, as visit number `visit` reads them.
template <class Real>
void visit_rows(const ImageBytes& images, std::span<const std::uint32_t> indices,
                std::uint32_t visit, std::span<Real> target) {
  const VisitRule& rule = images.rule;
  const std::size_t size = images.size;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::uint32_t row = indices[i];
    const auto levels = images.levels.subspan(row * size, size);
    const bool flipped = is_flipped(rule, visit, row);
    for (std::size_t quad = 0; 4 * quad < size; ++quad) {
      const PhiloxBlock words = words_of_visit(rule, visit, row, static_cast<std::uint32_t>(quad));
      for (std::size_t j = 0; j < 4 && 4 * quad + j < size; ++j) {
        const std::size_t element = 4 * quad + j;
        target[i * size + element] = static_cast<Real>(
            number_of_level(rule.law, levels[place_in_row(rule, flipped, element)], words[j]));
      }
    }
  }
}

}  // namespace ffjord
