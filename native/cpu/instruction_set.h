// The instruction sets that kernels are compiled for, and what differs between them. Each has a
// namespace: a kernel's header opens the one that FFJORD_INSTRUCTION_SET names, which isa_*.cc say.
// It is a macro because nothing else names a namespace. min and max give b where either is NaN.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef FFJORD_INSTRUCTION_SET
#define FFJORD_INSTRUCTION_SET baseline
#endif

namespace ffjord::cpu {

/// Any machine with vectors of four floats: SSE2, NEON.
namespace baseline {

inline constexpr int kLanes = 4;
#if defined(__aarch64__)
inline constexpr int kRegisters = 32;
#else
inline constexpr int kRegisters = 16;
#endif

using FourFloats = float __attribute__((vector_size(16)));
[[gnu::always_inline]] inline FourFloats min(FourFloats a, FourFloats b) { return a < b ? a : b; }
[[gnu::always_inline]] inline FourFloats max(FourFloats a, FourFloats b) { return a > b ? a : b; }

}  // namespace baseline

#if defined(__x86_64__)

/// x86-64 with AVX2 and FMA: eight floats, 16 registers.
namespace avx2 {

inline constexpr int kLanes = 8;
inline constexpr int kRegisters = 16;

[[gnu::always_inline, gnu::target("avx2,fma")]] inline __m256 min(__m256 a, __m256 b) {
  return _mm256_min_ps(a, b);
}
[[gnu::always_inline, gnu::target("avx2,fma")]] inline __m256 max(__m256 a, __m256 b) {
  return _mm256_max_ps(a, b);
}

}  // namespace avx2

/// x86-64 with AVX-512 F, DQ, VL, BW: 16 floats, 32 registers.
namespace avx512 {

inline constexpr int kLanes = 16;
inline constexpr int kRegisters = 32;

// The maskz forms, as GCC 12 warns of its own plain ones.
[[gnu::always_inline, gnu::target("avx512f")]] inline __m512 min(__m512 a, __m512 b) {
  return _mm512_maskz_min_ps(0xffff, a, b);
}
[[gnu::always_inline, gnu::target("avx512f")]] inline __m512 max(__m512 a, __m512 b) {
  return _mm512_maskz_max_ps(0xffff, a, b);
}

}  // namespace avx512

#endif

}  // namespace ffjord::cpu
