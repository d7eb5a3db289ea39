// Feed-forward nets for x86-64 with AVX2 and FMA.
#define FFJORD_INSTRUCTION_SET avx2

#include "cpu/isa.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "cpu/dense_map_kernels.h"
#include "cpu/feed_forward_net.h"

namespace ffjord::cpu::avx2 {

std::unique_ptr<FeedForwardTile> make_feed_forward(const FeedForwardPlace<float>& place) {
  return std::make_unique<ImageNet>(place);
}

DenseMapKernels dense_map() { return {apply_units, pull_back_units}; }

}  // namespace ffjord::cpu::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
