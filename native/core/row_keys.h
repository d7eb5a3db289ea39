// Noise that follows from a row's own values: two words of a hash of them stand where the numbers
// of the row and of the call do otherwise. Equal rows then get equal noise, wherever they stand and
// whatever stands beside them, and different rows independent noise.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "core/arrays.h"

namespace ffjord {

struct RowKey {
  std::uint32_t row = 0, call = 0;  ///< words of a Philox counter, see draw4
};

/// One a row of `values` (rows, anything). 0 and −0 are one number. Numbers count as float64 holds
/// them: rounded to float32 first, rows far from zero would share one key, and with it their noise.
inline std::vector<RowKey> row_keys(const Input& values, std::size_t rows) {
  const std::vector<double> numbers = values.as<double>();
  const std::size_t columns = rows == 0 ? 0 : numbers.size() / rows;
  std::vector<RowKey> keys(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    std::uint64_t hash = 0;
    for (std::size_t c = 0; c < columns; ++c) {
      const double number = numbers[row * columns + c];
      // A step of SplitMix64 (Steele, Lea and Flood 2014).
      hash = (hash ^ std::bit_cast<std::uint64_t>(number == 0 ? 0. : number)) + 0x9E3779B97F4A7C15u;
      hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9u;
      hash = (hash ^ hash >> 27) * 0x94D049BB133111EBu;
      hash ^= hash >> 31;
    }
    keys[row] = {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32)};
  }
  return keys;
}

}  // namespace ffjord
