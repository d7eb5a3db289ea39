#include "binding/measure.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "binding/engines.h"

namespace ffjord::binding {
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

double fma_peak(double seconds) {
  using Clock = std::chrono::steady_clock;
  const MultiplyAdd run = loop_of(cpu_report().instruction_set);
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  double best = 0;
  do {
    const auto start = Clock::now();
    const double operations = run(0.5f);
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, operations / elapsed * 1e-9);
  } while (Clock::now() < end);
  return best;
}

}  // namespace ffjord::binding
