// What a tensor core makes of one fragment.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace emulator {

// C (16, 8) += A (16, depth) B (depth, 8). Terms are aligned to the largest of a sum, cut to 26
// bits and added exactly; the sum is cut to 24 bits. Tensor cores round no better.
template <int depth>
void multiply(const double (&a)[16][depth], const double (&b)[depth][8], double (&c)[16][8]) {
  constexpr std::uint64_t exponent_bits = 0x7FF0000000000000;
  for (int i = 0; i < 16; ++i) {
    double terms[depth + 1][8], largest[8];
    for (int j = 0; j < 8; ++j) {
      terms[depth][j] = c[i][j];
      largest[j] = std::abs(c[i][j]);
    }
    for (int k = 0; k < depth; ++k)
      for (int j = 0; j < 8; ++j) {
        terms[k][j] = a[i][k] * b[k][j];
        const double size = std::abs(terms[k][j]);
        largest[j] = size > largest[j] || std::isnan(size) ? size : largest[j];
      }
    for (int j = 0; j < 8; ++j) {
      if (!std::isfinite(largest[j]) || largest[j] < 0x1p-100) {
        for (int k = 0; k < depth; ++k) c[i][j] += terms[k][j];
        continue;
      }
      const double power =
          std::bit_cast<double>(std::bit_cast<std::uint64_t>(largest[j]) & exponent_bits);
      const double unit = power * 0x1p-25, inverse = 1 / unit;
      double sum = 0;
      for (int k = 0; k <= depth; ++k) sum += std::trunc(terms[k][j] * inverse);
      sum *= unit;
      constexpr std::uint64_t kept = ~((std::uint64_t{1} << 29) - 1);  // of 52 bits, float's 23
      c[i][j] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(sum) & kept);
    }
  }
}

}  // namespace emulator
