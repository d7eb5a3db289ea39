// multiply_add() of fma_chains.h as each instruction set compiles it. It stands in an unnamed
// namespace of each file that includes this.
#pragma once

#include <string_view>

namespace ffjord {
namespace {

namespace baseline {
using Vector = float __attribute__((vector_size(16)));
#include "binding/fma_chains.h"
}  // namespace baseline

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
using Vector = float __attribute__((vector_size(32)));
#include "binding/fma_chains.h"
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f")
#endif
namespace avx512 {
using Vector = float __attribute__((vector_size(64)));
#include "binding/fma_chains.h"
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

using MultiplyAdd = double (*)(float seed);

MultiplyAdd loop_of([[maybe_unused]] std::string_view instruction_set) {
#if defined(__x86_64__)
  if (instruction_set == "avx512") return avx512::multiply_add;
  if (instruction_set == "avx2") return avx2::multiply_add;
#endif
  return baseline::multiply_add;
}

}  // namespace
}  // namespace ffjord
