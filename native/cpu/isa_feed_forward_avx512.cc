// Feed-forward nets for x86-64 with AVX-512 F, DQ, VL, BW.
#define FFJORD_INSTRUCTION_SET avx512

#include "cpu/isa.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")
#endif

#include "cpu/dense_map_kernels.h"
#include "cpu/feed_forward_net.h"

namespace ffjord::cpu::avx512 {

std::unique_ptr<FeedForwardTile> make_feed_forward(const FeedForwardPlace<float>& place) {
  return std::make_unique<ImageNet>(place);
}

DenseMapKernels dense_map() { return {apply_units, pull_back_units}; }

}  // namespace ffjord::cpu::avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
