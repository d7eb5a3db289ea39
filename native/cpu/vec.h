// kLanes floats and what the kernels do with them, over the vector extensions of GCC and Clang.
// min and max, for which compilers find no single instruction, are in instruction_set.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "cpu/instruction_set.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

using Vec = float __attribute__((vector_size(kLanes * sizeof(float))));
using IntVec = std::int32_t __attribute__((vector_size(kLanes * sizeof(float))));

[[gnu::always_inline]] inline Vec load(const float* p) {
  Vec a;
  __builtin_memcpy(&a, p, sizeof a);
  return a;
}
[[gnu::always_inline]] inline void store(float* p, Vec a) { __builtin_memcpy(p, &a, sizeof a); }
[[gnu::always_inline]] inline Vec splat(float x) { return x - Vec{}; }
[[gnu::always_inline]] inline IntVec splat(std::int32_t x) { return x - IntVec{}; }
/// a b + c; one rounding where the processor has it.
[[gnu::always_inline]] inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
[[gnu::always_inline]] inline Vec select(IntVec mask, Vec a, Vec b) { return mask ? a : b; }
[[gnu::always_inline]] inline Vec root(Vec a) {
  for (int l = 0; l < kLanes; ++l) a[l] = __builtin_sqrtf(a[l]);
  return a;
}
[[gnu::always_inline]] inline Vec abs(Vec a) { return (Vec)((IntVec)a & splat(0x7fffffff)); }

// Lane l of the result is lane Pick{}(l) of (a, b) laid end to end.
template <class Pick, std::size_t... Lane>
[[gnu::always_inline]] inline Vec shuffle(Vec a, Vec b, std::index_sequence<Lane...>) {
  return __builtin_shufflevector(a, b, Pick::source(Lane)...);
}
template <class Pick>
[[gnu::always_inline]] inline Vec shuffle(Vec a, Vec b) {
  return shuffle<Pick>(a, b, std::make_index_sequence<kLanes>());
}

// Within each four lanes: a0 b0 a1 b1 (High: a2 b2 a3 b3).
template <bool High>
struct InterleaveSingles {
  static constexpr int source(int lane) {
    const int within = lane % 4;
    return lane - within + within / 2 + (High ? 2 : 0) + (within % 2) * kLanes;
  }
};
// Within each four lanes: a0 a1 b0 b1 (High: a2 a3 b2 b3).
template <bool High>
struct InterleavePairs {
  static constexpr int source(int lane) {
    const int within = lane % 4;
    return lane - within + within % 2 + (High ? 2 : 0) + (within / 2) * kLanes;
  }
};
// Blocks of `Size` lanes: the even ones of a and b side by side (High: the odd ones).
template <int Size, bool High>
struct InterleaveBlocks {
  static constexpr int source(int lane) {
    const bool from_b = lane & Size;
    return (lane & ~Size) + (High ? Size : 0) + (from_b ? kLanes : 0);
  }
};

template <int Size>
[[gnu::always_inline]] inline void exchange_blocks(Vec (&rows)[kLanes]) {
  if constexpr (Size < kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i & Size) continue;
      const Vec low = rows[i], high = rows[i + Size];
      rows[i] = shuffle<InterleaveBlocks<Size, false>>(low, high);
      rows[i + Size] = shuffle<InterleaveBlocks<Size, true>>(low, high);
    }
    exchange_blocks<2 * Size>(rows);
  }
}

/// Transposes a kLanes × kLanes block in place.
[[gnu::always_inline]] inline void transpose(Vec (&rows)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i += 4) {
    const Vec a = shuffle<InterleaveSingles<false>>(rows[i], rows[i + 1]);
    const Vec b = shuffle<InterleaveSingles<true>>(rows[i], rows[i + 1]);
    const Vec c = shuffle<InterleaveSingles<false>>(rows[i + 2], rows[i + 3]);
    const Vec d = shuffle<InterleaveSingles<true>>(rows[i + 2], rows[i + 3]);
    rows[i] = shuffle<InterleavePairs<false>>(a, c);
    rows[i + 1] = shuffle<InterleavePairs<true>>(a, c);
    rows[i + 2] = shuffle<InterleavePairs<false>>(b, d);
    rows[i + 3] = shuffle<InterleavePairs<true>>(b, d);
  }
  exchange_blocks<4>(rows);
}

/// Sum of the lanes, in a fixed order.
inline float sum_of_lanes(Vec a) {
  float partial[kLanes];
  store(partial, a);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) partial[l] += partial[l + half];
  return partial[0];
}

/// Lane i: the sum of the lanes of vector i. Half of the vectors are added to the other half at a
/// time, 2 (kLanes − 1) shuffles in all, where a transposition takes kLanes log₂ kLanes.
template <int Half = kLanes / 2>
[[gnu::always_inline]] inline Vec sums_of_lanes(Vec (&vectors)[kLanes]) {
#pragma GCC unroll 8
  for (int i = 0; i < Half; ++i)
    vectors[i] = shuffle<InterleaveBlocks<Half, false>>(vectors[i], vectors[i + Half]) +
                 shuffle<InterleaveBlocks<Half, true>>(vectors[i], vectors[i + Half]);
  if constexpr (Half > 1)
    return sums_of_lanes<Half / 2>(vectors);
  else
    return vectors[0];
}

/// The same for `count` vectors, lying one after the other up to a multiple of kLanes.
inline void sums_of_lanes(const float* vectors, int count, float* sums) {
  for (int first = 0; first < count; first += kLanes) {
    Vec block[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) block[i] = load(vectors + (first + i) * kLanes);
    store(sums + first, sums_of_lanes(block));
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
