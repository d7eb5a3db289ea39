// The kernels of tile_net_impl.h for x86-64 with AVX2 and FMA: eight floats, 16 registers.
#include "cpu/isa.h"

#if defined(__x86_64__)
// After every include of the library: none of its inline functions may be compiled for this
// machine, as the linker might choose that copy for all.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

namespace ffjord::cpu::avx2 {
inline constexpr int kLanes = 8;
inline constexpr int kRegisters = 16;

[[gnu::always_inline]] inline __m256 min(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
[[gnu::always_inline]] inline __m256 max(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }

#include "cpu/tile_net_impl.h"

std::unique_ptr<TileNet> make_net(const BlockContext<float>& context) {
  return std::make_unique<DenseTileNet>(context);
}
}  // namespace ffjord::cpu::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
