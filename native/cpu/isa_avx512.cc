// The kernels of tile_net_impl.h for x86-64 with AVX-512 F, DQ, VL, BW: 16 floats, 32 registers.
#include "cpu/isa.h"

#if defined(__x86_64__)
// After every include of the library: none of its inline functions may be compiled for this
// machine, as the linker might choose that copy for all.
#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")
#endif

namespace ffjord::cpu::avx512 {
inline constexpr int kLanes = 16;
inline constexpr int kRegisters = 32;

// The maskz forms, as GCC 12 warns of its own plain ones.
[[gnu::always_inline]] inline __m512 min(__m512 a, __m512 b) {
  return _mm512_maskz_min_ps(0xffff, a, b);
}
[[gnu::always_inline]] inline __m512 max(__m512 a, __m512 b) {
  return _mm512_maskz_max_ps(0xffff, a, b);
}

#include "cpu/tile_net_impl.h"

std::unique_ptr<TileNet> make_net(const BlockContext<float>& context) {
  return std::make_unique<DenseTileNet>(context);
}
}  // namespace ffjord::cpu::avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
