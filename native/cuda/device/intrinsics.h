// Device functions that plain CUDA C++ does not spell: tensor-core products as functions of the
// lane, asynchronous copies, fast transcendental functions, conversions. Each has two bodies, PTX
// and the emulator's, and no other file of this folder has. Everything else (shuffles, ballots,
// barriers, atomics) goes by its CUDA name.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#ifndef FFJORD_EMULATED
#include <cooperative_groups.h>
#include <cuda_fp16.h>
#endif

namespace ffjord::cuda {

/// What the kernels were compiled for that the current device runs: other than the device itself
/// where it compiled them from PTX.
struct LoadedCode {
  int capability = 0;       ///< 10 × major + minor of the PTX they come from
  bool warpgroups = false;  ///< whether begin_products and the others are more than a trap
};

/// Says within a kernel of a DeviceLoop whether its body runs again.
using LoopCondition = cudaGraphConditionalHandle;

__device__ __forceinline__ void set_loop_condition(LoopCondition condition, bool go_on) {
  cudaGraphSetConditional(condition, go_on ? 1 : 0);
}

__device__ __forceinline__ int lane_index() { return threadIdx.x & 31; }  // blocks are (x, 1, 1)
__device__ __forceinline__ int warp_index() { return threadIdx.x >> 5; }

#ifdef FFJORD_EMULATED

inline int thread_index_anew() { return static_cast<int>(threadIdx.x); }

template <class T>
T& shared_memory() {
  return *static_cast<T*>(emulator::shared_memory(sizeof(T), alignof(T)));
}

inline void sync_grid() { emulator::sync_grid(); }

inline float exp2_fast(float x) { return emulator::flush(std::exp2(emulator::flush(x))); }
inline float rcp_fast(float x) { return emulator::flush(1.f / emulator::flush(x)); }
inline float clamp(float x, float bound) { return x > bound ? bound : x < -bound ? -bound : x; }

inline unsigned round_tf32(float x) { return emulator::round_tf32(x); }
inline unsigned pack_half2(float low, float high) { return emulator::pack_half2(low, high); }
inline float2 unpack_half2(unsigned halves) { return emulator::unpack_half2(halves); }

inline void mma_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  emulator::mma_tf32(c, a, b);
}
inline void mma_f16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  emulator::mma_f16(c, a, b);
}
inline void load_matrix_x4(unsigned (&r)[4], const void* shared_row) {
  emulator::load_matrix_x4(r, shared_row, false);
}
inline void load_matrix_x4_transposed(unsigned (&r)[4], const void* shared_row) {
  emulator::load_matrix_x4(r, shared_row, true);
}

inline std::uint64_t matrix_descriptor(const void* shared, int leading, int stride) {
  return emulator::matrix_descriptor(shared, leading, stride);
}
inline void show_to_products() { emulator::show_to_products(); }
template <int Channels, int Fragments>
void begin_products(float (&)[Channels][Fragments][4]) {
  emulator::begin_products();
}
template <int Fragments>
void multiply_async(float (&c)[Fragments][4], std::uint64_t a, std::uint64_t b) {
  emulator::multiply_async(c, Fragments, a, b);
}
inline void commit_products() { emulator::commit_products(); }
template <int Channels, int Fragments>
void wait_for_products(float (&)[Channels][Fragments][4]) {
  emulator::wait_for_products();
}

inline uint4 load_shared_volatile(const uint4* shared) { return *shared; }

inline LoadedCode loaded_code() { return {90, true}; }

inline void copy_async_16(void* shared, const void* global) {
  emulator::copy_async(shared, global, 16);
}
inline void copy_async_4(void* shared, const void* global) {
  emulator::copy_async(shared, global, 4);
}
inline void commit_copies() { emulator::commit_copies(); }
template <int pending>
void wait_for_copies() {
  emulator::wait_for_copies(pending);
}

#else

/// threadIdx.x, asked for where it is written. What follows from threadIdx.x itself ptxas works out
/// once for a whole kernel, and holds in registers that the kernel's inner loops lack.
__device__ __forceinline__ int thread_index_anew() {
  int index = static_cast<int>(threadIdx.x);
  asm volatile("" : "+r"(index));
  return index;
}

/// The block's dynamic shared memory as a struct; LaunchShape::shared_bytes is its size.
template <class T>
__device__ __forceinline__ T& shared_memory() {
  extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];
  static_assert(alignof(T) <= 128);
  return *reinterpret_cast<T*>(dynamic_shared_memory);
}

/// Barrier of all threads of a cooperative launch.
__device__ __forceinline__ void sync_grid() { cooperative_groups::this_grid().sync(); }

/// 2^x to about 2 ulp; subnormals are zero.
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// 1/x to 1 ulp; subnormals are zero.
__device__ __forceinline__ float rcp_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// x between −bound and bound; a NaN passes.
__device__ __forceinline__ float clamp(float x, float bound) {
#if __CUDA_ARCH__ >= 800
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(x), "f"(bound));
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(y), "f"(-bound));
  return y;
#else
  return x > bound ? bound : x < -bound ? -bound : x;
#endif
}

/// Bits of x rounded to TF32 (10 bits of mantissa), ties away from zero.
__device__ __forceinline__ unsigned round_tf32(float x) {
#if __CUDA_ARCH__ >= 800
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  return (__float_as_uint(x) + 0x1000u) & 0xffffe000u;
#endif
}
/// Two values rounded to float16, `low` in the low half.
__device__ __forceinline__ unsigned pack_half2(float low, float high) {
  const __half2 halves = __floats2half2_rn(low, high);
  return reinterpret_cast<const unsigned&>(halves);
}
__device__ __forceinline__ float2 unpack_half2(unsigned halves) {
  return __half22float2(reinterpret_cast<const __half2&>(halves));
}

// Fragments, with g = lane / 4 and q = lane % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k8" and
// "… m16n8k16"):
//   C (16, 8):  c[0], c[1] = C[g][2q, 2q+1]        c[2], c[3] = C[g+8][2q, 2q+1]
//   tf32  A (16, 8):  a[0] = A[g][q]   a[1] = A[g+8][q]   a[2] = A[g][q+4]   a[3] = A[g+8][q+4]
//         B (8, 8):   b[0] = B[q][g]   b[1] = B[q+4][g]
//   f16   A (16, 16): a[0] = A[g][2q, 2q+1]            a[1] = A[g+8][2q, 2q+1]
//                     a[2] = A[g][2q+8, 2q+9]          a[3] = A[g+8][2q+8, 2q+9]
//         B (16, 8):  b[0] = B[2q, 2q+1][g]            b[1] = B[2q+8, 2q+9][g]

/// C += A B of a warp, inputs TF32, sums float32 (truncated within the tensor core).
__device__ __forceinline__ void mma_tf32(float (&c)[4], const unsigned (&a)[4],
                                         const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();  // Turing has no TF32; the engine takes float32 products there
#endif
}

/// C += A B of a warp, inputs float16, sums float32 (truncated within the tensor core).
__device__ __forceinline__ void mma_f16(float (&c)[4], const unsigned (&a)[4],
                                        const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

/// Four 8×8 matrices of 16-bit values from shared memory: lane i names a row of 16 bytes of matrix
/// i / 8; r[m] holds row lane / 4, columns 2 (lane % 4) and the next of matrix m.
__device__ __forceinline__ void load_matrix_x4(unsigned (&r)[4], const void* shared_row) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared_row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_matrix_x4_transposed(unsigned (&r)[4],
                                                          const void* shared_row) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared_row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// Products of a warpgroup, four warps from a multiple of four on, which go on while its threads do
// other things (PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate"). Only code for
// sm_90a has them. In this order, by all 128 threads: stores to shared memory, show_to_products,
// a barrier, begin_products, multiply_async for each product, commit_products, wait_for_products;
// until then nobody touches the sums or what the products read.

/// A matrix of float16 in shared memory, of lines × depth, as core matrices of 8 lines × 8 of
/// depth: 128 bytes, line after line. `leading` bytes on lies the next in depth, `stride` bytes on
/// that of the next lines.
__device__ __forceinline__ std::uint64_t matrix_descriptor(const void* shared, int leading,
                                                           int stride) {
  const auto field = [](unsigned bytes) {
    return static_cast<std::uint64_t>((bytes & 0x3ffffu) >> 4);
  };
  return field(static_cast<unsigned>(__cvta_generic_to_shared(shared))) | field(leading) << 16 |
         field(stride) << 32;
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace detail {

// Sums that an instruction under way holds stay in their registers, on this side of it.
template <int Channels, int Fragments>
__device__ __forceinline__ void hold(float (&c)[Channels][Fragments][4]) {
#pragma unroll
  for (int channel = 0; channel < Channels; ++channel)
#pragma unroll
    for (int n = 0; n < Fragments; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(c[channel][n][i])::"memory");
}

}  // namespace detail

__device__ __forceinline__ void show_to_products() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
template <int Channels, int Fragments>
__device__ __forceinline__ void begin_products(float (&c)[Channels][Fragments][4]) {
  detail::hold(c);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// C (64, 32) += A (64, 16) Bᵀ, B (32, 16). Fragments of C as in mma_f16: a warp has 16 rows, [n]
/// is for units 8 n to 8 n + 7.
__device__ __forceinline__ void multiply_async(float (&c)[4][4], std::uint64_t a, std::uint64_t b) {
  asm volatile(
      "{.reg .pred adds;\n"
      "setp.ne.b32 adds, %18, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, %16, %17, adds, 1, 1, 0, 0;}"
      : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]),
        "+f"(c[1][2]), "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]),
        "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3])
      : "l"(a), "l"(b), "r"(1));
}
/// C (64, 64) += A (64, 16) Bᵀ, B (64, 16), the same way.
__device__ __forceinline__ void multiply_async(float (&c)[8][4], std::uint64_t a, std::uint64_t b) {
  asm volatile(
      "{.reg .pred adds;\n"
      "setp.ne.b32 adds, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,"
      "%23,%24,%25,%26,%27,%28,%29,%30,%31"
      "}, %32, %33, adds, 1, 1, 0, 0;}"
      : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]),
        "+f"(c[1][2]), "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]),
        "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]),
        "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),
        "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]),
        "+f"(c[7][2]), "+f"(c[7][3])
      : "l"(a), "l"(b), "r"(1));
}
/// C (64, 128) += A (64, 16) Bᵀ, B (128, 16), the same way.
__device__ __forceinline__ void multiply_async(float (&c)[16][4], std::uint64_t a,
                                               std::uint64_t b) {
  asm volatile(
      "{.reg .pred adds;\n"
      "setp.ne.b32 adds, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,"
      "%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,"
      "%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
      "}, %64, %65, adds, 1, 1, 0, 0;}"
      : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]),
        "+f"(c[1][2]), "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]),
        "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]),
        "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),
        "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]),
        "+f"(c[7][2]), "+f"(c[7][3]), "+f"(c[8][0]), "+f"(c[8][1]), "+f"(c[8][2]), "+f"(c[8][3]),
        "+f"(c[9][0]), "+f"(c[9][1]), "+f"(c[9][2]), "+f"(c[9][3]), "+f"(c[10][0]), "+f"(c[10][1]),
        "+f"(c[10][2]), "+f"(c[10][3]), "+f"(c[11][0]), "+f"(c[11][1]), "+f"(c[11][2]),
        "+f"(c[11][3]), "+f"(c[12][0]), "+f"(c[12][1]), "+f"(c[12][2]), "+f"(c[12][3]),
        "+f"(c[13][0]), "+f"(c[13][1]), "+f"(c[13][2]), "+f"(c[13][3]), "+f"(c[14][0]),
        "+f"(c[14][1]), "+f"(c[14][2]), "+f"(c[14][3]), "+f"(c[15][0]), "+f"(c[15][1]),
        "+f"(c[15][2]), "+f"(c[15][3])
      : "l"(a), "l"(b), "r"(1));
}
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int Channels, int Fragments>
__device__ __forceinline__ void wait_for_products(float (&c)[Channels][Fragments][4]) {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  detail::hold(c);
}

#else

__device__ __forceinline__ void show_to_products() { __trap(); }
template <int Channels, int Fragments>
__device__ __forceinline__ void begin_products(float (&)[Channels][Fragments][4]) {
  __trap();
}
template <int Fragments>
__device__ __forceinline__ void multiply_async(float (&)[Fragments][4], std::uint64_t,
                                               std::uint64_t) {
  __trap();
}
__device__ __forceinline__ void commit_products() { __trap(); }
template <int Channels, int Fragments>
__device__ __forceinline__ void wait_for_products(float (&)[Channels][Fragments][4]) {
  __trap();
}

#endif

/// A load that stays where it is written. Without it ptxas hoists the weights of a whole solve into
/// registers and spills them.
__device__ __forceinline__ uint4 load_shared_volatile(const uint4* shared) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  uint4 value;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"(address));
  return value;
}

/// Copies 16 (4) bytes into shared memory while the thread goes on. Copies are grouped by
/// commit_copies; wait_for_copies<n> waits for all but the last n groups of this thread.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global) {
#if __CUDA_ARCH__ >= 800
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
#else
  *static_cast<uint4*>(shared) = *static_cast<const uint4*>(global);
#endif
}
__device__ __forceinline__ void copy_async_4(void* shared, const void* global) {
#if __CUDA_ARCH__ >= 800
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(address), "l"(global) : "memory");
#else
  *static_cast<unsigned*>(shared) = *static_cast<const unsigned*>(global);
#endif
}
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int pending>
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

namespace detail {

// Never launched: its bound tells what it was compiled for.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
inline constexpr int kMark = 64;
#else
inline constexpr int kMark = 32;
#endif
template <class = void>
__global__ void __launch_bounds__(kMark) mark_code() {}

}  // namespace detail

template <class = void>
LoadedCode loaded_code() {
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, detail::mark_code<>) != cudaSuccess) return {};
  return {attributes.ptxVersion, attributes.maxThreadsPerBlock == 64};
}

#endif

}  // namespace ffjord::cuda
