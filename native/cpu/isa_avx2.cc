// The kernels for x86-64 with AVX2 and FMA.
#define FFJORD_INSTRUCTION_SET avx2

#include "cpu/isa.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "cpu/convolution_setup.h"
#include "cpu/evaluate.h"
#include "cpu/net_setup.h"
#include "cpu/pullback.h"

namespace ffjord::cpu::avx2 {

std::unique_ptr<TileNet> make_net(const BlockContext<float>& context, ConvolutionMethod method) {
  if (context.offsets.net.convolutional())
    return std::make_unique<ConvolutionTileNet>(context, method);
  return std::make_unique<DenseTileNet>(context);
}

}  // namespace ffjord::cpu::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
