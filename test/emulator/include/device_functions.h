// What a kernel may call by its CUDA name.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vector_types.h"

// Those of the thread that runs, set at every switch between threads.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace emulator {

enum class Vote { Or, And, Count };

void sync_block();
int sync_block(Vote vote, int predicate);
void sync_warp(unsigned mask);
void sync_grid();
/// The value that lane `source` of the mask gave; poison where that lane takes no part.
std::uint64_t shuffle(unsigned mask, std::uint64_t value, int source);
unsigned ballot(unsigned mask, bool predicate);
unsigned active_mask();
/// Lets another thread run, for a thread that polls.
void pass();
int lane();
[[noreturn]] void trap(const char* reason);

void* shared_memory(std::size_t bytes, std::size_t alignment);
void copy_async(void* shared, const void* global, int bytes);
void commit_copies();
void wait_for_copies(int pending);

void mma_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]);
void mma_f16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]);
void load_matrix_x4(unsigned (&r)[4], const void* shared_row, bool transposed);

/// Describes a matrix in the block's shared memory, for products of a warpgroup.
std::uint64_t matrix_descriptor(const void* shared, int leading, int stride);
void show_to_products();
void begin_products();
void multiply_async(float (*c)[4], int fragments, std::uint64_t a, std::uint64_t b);
void commit_products();
void wait_for_products();

unsigned round_tf32(float x);
unsigned pack_half2(float low, float high);
float2 unpack_half2(unsigned halves);
/// Subnormals become zero.
inline float flush(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x;
}

template <class T>
T shuffle_value(unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = shuffle(mask, bits, source);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <class T, class Change>
T exchange(T* address, Change change) {
  const T old = *address;
  *address = change(old);
  return old;
}

}  // namespace emulator

inline void __syncthreads() { emulator::sync_block(); }
inline int __syncthreads_or(int p) { return emulator::sync_block(emulator::Vote::Or, p); }
inline int __syncthreads_and(int p) { return emulator::sync_block(emulator::Vote::And, p); }
inline int __syncthreads_count(int p) { return emulator::sync_block(emulator::Vote::Count, p); }
inline void __syncwarp(unsigned mask = ~0u) { emulator::sync_warp(mask); }
inline unsigned __activemask() { return emulator::active_mask(); }
inline unsigned __ballot_sync(unsigned mask, int p) { return emulator::ballot(mask, p != 0); }
inline int __any_sync(unsigned mask, int p) { return emulator::ballot(mask, p != 0) != 0; }
inline int __all_sync(unsigned mask, int p) { return emulator::ballot(mask, p == 0) == 0; }

// As the PTX manual has it for shfl: a lane outside of its segment of `width` keeps its own value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int start = emulator::lane() & ~(width - 1);
  return emulator::shuffle_value(mask, value, start + (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  const int lane = emulator::lane(), source = lane ^ bits;
  return emulator::shuffle_value(mask, value,
                                 source < (lane & ~(width - 1)) + width ? source : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = emulator::lane(), source = lane - static_cast<int>(delta);
  return emulator::shuffle_value(mask, value, source >= (lane & ~(width - 1)) ? source : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = emulator::lane(), source = lane + static_cast<int>(delta);
  return emulator::shuffle_value(mask, value,
                                 source < (lane & ~(width - 1)) + width ? source : lane);
}

template <class T>
T atomicAdd(T* address, T value) {
  return emulator::exchange(address, [=](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicMax(T* address, T value) {
  return emulator::exchange(address, [=](T old) { return old > value ? old : value; });
}
template <class T>
T atomicMin(T* address, T value) {
  return emulator::exchange(address, [=](T old) { return old < value ? old : value; });
}
template <class T>
T atomicOr(T* address, T value) {
  return emulator::exchange(address, [=](T old) { return old | value; });
}
template <class T>
T atomicAnd(T* address, T value) {
  return emulator::exchange(address, [=](T old) { return old & value; });
}
template <class T>
T atomicExch(T* address, T value) {
  return emulator::exchange(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, T expected, T value) {
  return emulator::exchange(address, [=](T old) { return old == expected ? value : old; });
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __nanosleep(unsigned) { emulator::pass(); }
[[noreturn]] inline void __trap() { emulator::trap("__trap"); }

template <class T>
T __ldg(const T* address) {
  return *address;
}

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(unsigned x) { return std::countl_zero(x); }
inline int __ffs(unsigned x) { return x == 0 ? 0 : std::countr_zero(x) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __frcp_rn(float x) { return 1.f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1.f / std::sqrt(x); }
inline double rsqrt(double x) { return 1. / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }

template <class T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
