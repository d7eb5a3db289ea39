// Operations of a warp: barriers, shuffles, votes, matrix products and loads.
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "device_functions.h"
#include "fragment_product.h"
#include "grid.h"
#include "memory.h"

namespace emulator {

void sync_warp(unsigned mask) {
  meet_warp(
      mask, nullptr, [](void*(&)[32]) {}, "__syncwarp");
}

namespace {

struct Shuffle {
  std::uint64_t value, result;
  int source;
};

struct Ballot {
  bool predicate;
  unsigned result;
};

// One lane's fragments of a product, as the PTX manual lays them out.
struct Product {
  float (&c)[4];
  const unsigned (&a)[4];
  const unsigned (&b)[2];
};

struct MatrixLoad {
  const void* row;
  unsigned (&r)[4];
};

template <int depth>
void finish(const double (&a)[16][depth], const double (&b)[depth][8], void* (&given)[32]) {
  double c[16][8];
  const auto each = [&](auto use) {
    for (int lane = 0; lane < 32; ++lane) {
      float(&own)[4] = static_cast<Product*>(given[lane])->c;
      const int g = lane / 4, q = lane % 4;
      for (int i = 0; i < 4; ++i) use(own[i], c[g + 8 * (i / 2)][2 * q + i % 2]);
    }
  };
  each([](float own, double& entry) { entry = own; });
  multiply(a, b, c);
  each([](float& own, double entry) { own = static_cast<float>(entry); });
}

void multiply_tf32(void* (&given)[32]) {
  double a[16][8], b[8][8];
  // The multiplier does not see the low 13 bits.
  const auto value = [](unsigned bits) {
    return static_cast<double>(std::bit_cast<float>(bits & 0xFFFFE000u));
  };
  for (int lane = 0; lane < 32; ++lane) {
    const auto& product = *static_cast<Product*>(given[lane]);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][q + 4 * (i / 2)] = value(product.a[i]);
    for (int i = 0; i < 2; ++i) b[q + 4 * i][g] = value(product.b[i]);
  }
  finish(a, b, given);
}

void multiply_f16(void* (&given)[32]) {
  double a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& product = *static_cast<Product*>(given[lane]);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 4; ++i) {
      const float2 pair = unpack_half2(product.a[i]);
      a[g + 8 * (i % 2)][2 * q + 8 * (i / 2)] = pair.x;
      a[g + 8 * (i % 2)][2 * q + 8 * (i / 2) + 1] = pair.y;
    }
    for (int i = 0; i < 2; ++i) {
      const float2 pair = unpack_half2(product.b[i]);
      b[2 * q + 8 * i][g] = pair.x;
      b[2 * q + 8 * i + 1][g] = pair.y;
    }
  }
  finish(a, b, given);
}

template <bool transposed>
void load_matrices(void* (&given)[32]) {
  for (int lane = 0; lane < 32; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix) {
      std::uint16_t halves[2];
      for (int i = 0; i < 2; ++i) {
        const int row = transposed ? 2 * (lane % 4) + i : lane / 4;
        const int column = transposed ? lane / 4 : 2 * (lane % 4) + i;
        const void* start = static_cast<MatrixLoad*>(given[8 * matrix + row])->row;
        std::memcpy(&halves[i], static_cast<const std::uint16_t*>(start) + column, 2);
      }
      static_cast<MatrixLoad*>(given[lane])->r[matrix] =
          static_cast<unsigned>(halves[0]) | static_cast<unsigned>(halves[1]) << 16;
    }
}

void meet_whole_warp(void* given, Complete complete, const char* operation) {
  if (whole_warp() != ~0u) fail(std::string(operation) + " in a warp of fewer than 32 lanes");
  meet_warp(~0u, given, complete, operation);
}

}  // namespace

std::uint64_t shuffle(unsigned mask, std::uint64_t value, int source) {
  Shuffle own{value, 0, source};
  meet_warp(
      mask, &own,
      [](void*(&given)[32]) {
        for (void* one : given) {
          if (!one) continue;
          auto& lane = *static_cast<Shuffle*>(one);
          const void* source = lane.source >= 0 && lane.source < 32 ? given[lane.source] : nullptr;
          lane.result = source ? static_cast<const Shuffle*>(source)->value : ~std::uint64_t{0};
        }
      },
      "a shuffle");
  return own.result;
}

unsigned ballot(unsigned mask, bool predicate) {
  Ballot own{predicate, 0};
  meet_warp(
      mask, &own,
      [](void*(&given)[32]) {
        unsigned result = 0;
        for (int lane = 0; lane < 32; ++lane)
          if (given[lane] && static_cast<Ballot*>(given[lane])->predicate) result |= 1u << lane;
        for (void* one : given)
          if (one) static_cast<Ballot*>(one)->result = result;
      },
      "a vote");
  return own.result;
}

unsigned active_mask() { return 1u << lane(); }

void mma_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  Product own{c, a, b};
  meet_whole_warp(&own, multiply_tf32, "mma_tf32");
}

void mma_f16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  Product own{c, a, b};
  meet_whole_warp(&own, multiply_f16, "mma_f16");
}

void load_matrix_x4(unsigned (&r)[4], const void* shared_row, bool transposed) {
  if (reinterpret_cast<std::uintptr_t>(shared_row) % 16 != 0)
    fail("load_matrix of a row that is not aligned");
  MatrixLoad own{shared_row, r};
  meet_whole_warp(&own, transposed ? load_matrices<true> : load_matrices<false>, "load_matrix");
}

unsigned round_tf32(float x) {
  const unsigned bits = std::bit_cast<unsigned>(x);
  if ((bits & 0x7F800000u) == 0x7F800000u) return bits;  // infinite, or not a number
  return (bits + 0x1000u) & 0xFFFFE000u;
}

namespace {

// Round to nearest, ties to even.
std::uint16_t to_half(float x) {
  const unsigned bits = std::bit_cast<unsigned>(x), sign = bits >> 16 & 0x8000u;
  const unsigned size = bits & 0x7FFFFFFFu;
  if (size > 0x7F800000u) return static_cast<std::uint16_t>(0x7FFF);
  if (size >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);  // 65520 and more
  if (size < 0x38800000u) {  // below 2^-14: steps of 2^-24
    const float steps = std::nearbyint(std::abs(x) * 0x1p24f);
    return static_cast<std::uint16_t>(sign | static_cast<unsigned>(steps));
  }
  const unsigned rounded = size - 0x38000000u + 0xFFFu + (size >> 13 & 1u);
  return static_cast<std::uint16_t>(sign | rounded >> 13);
}

float from_half(unsigned half) {
  const unsigned exponent = half >> 10 & 31u, mantissa = half & 0x3FFu;
  float size;
  if (exponent == 31)
    size = mantissa ? NAN : INFINITY;
  else if (exponent == 0)
    size = static_cast<float>(mantissa) * 0x1p-24f;
  else
    size = std::bit_cast<float>((exponent + 112) << 23 | mantissa << 13);
  return half & 0x8000u ? -size : size;
}

}  // namespace

unsigned pack_half2(float low, float high) {
  return to_half(low) | static_cast<unsigned>(to_half(high)) << 16;
}

float2 unpack_half2(unsigned halves) {
  return {from_half(halves & 0xFFFFu), from_half(halves >> 16)};
}

}  // namespace emulator
