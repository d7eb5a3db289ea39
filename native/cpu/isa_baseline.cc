// The kernels of tile_net_impl.h for any machine with vectors of four floats: SSE2, NEON.
#include "cpu/isa.h"

namespace ffjord::cpu::baseline {
inline constexpr int kLanes = 4;
#if defined(__aarch64__)
inline constexpr int kRegisters = 32;
#else
inline constexpr int kRegisters = 16;
#endif

using FourFloats = float __attribute__((vector_size(16)));
[[gnu::always_inline]] inline FourFloats min(FourFloats a, FourFloats b) { return a < b ? a : b; }
[[gnu::always_inline]] inline FourFloats max(FourFloats a, FourFloats b) { return a > b ? a : b; }

#include "cpu/tile_net_impl.h"

std::unique_ptr<TileNet> make_net(const BlockContext<float>& context) {
  return std::make_unique<DenseTileNet>(context);
}
}  // namespace ffjord::cpu::baseline
