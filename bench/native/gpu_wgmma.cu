// What products of a warpgroup reach on compute capability 9.0, as rows of a Markdown table: by
// their number of units, on random values, which draw more power than zeros; and whether a matrix
// in shared memory may begin at 16 bytes that are not 128, as the taps of a convolution would.
//   gpu_wgmma [SHARE of the work: 1]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cuda/device/intrinsics.h"
#include "cuda/device/launch.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {
namespace {

constexpr int kThreads = 256, kRepetitions = 10, kStep = 16;  // depth of an instruction
constexpr int kOctet = 8, kCoreMatrix = 128;                  // bytes of 8 lines × 8 of depth

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// Twice 16 deep a round, 64 lines × Units, into sums that stay in the warpgroup's registers; a
// round waits for its own, and other warpgroups fill the time.
template <int Units>
struct Rounds;

template <>
struct Rounds<32> {
  __device__ static float multiply(int rounds, const std::uint64_t (&a)[2],
                                   const std::uint64_t (&b)[2]) {
    float sum;
    asm volatile(
        "{.reg .f32 c<16>; .reg .pred adds, more; .reg .u32 left;\n"
        "mov.u32 left, %5; setp.ne.u32 adds, left, %5;\n"
        "ROUND: wgmma.fence.sync.aligned;\n"
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15}"
        ", %1, %3, adds, 1, 1, 0, 0;\n"
        "setp.eq.u32 adds, left, left;\n"
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15}"
        ", %2, %4, adds, 1, 1, 0, 0;\n"
        "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n"
        "sub.u32 left, left, 1; setp.ne.u32 more, left, 0; @more bra ROUND;\n"
        "add.f32 %0, c0, c15;}\n"
        : "=f"(sum)
        : "l"(a[0]), "l"(a[1]), "l"(b[0]), "l"(b[1]), "r"(rounds)
        : "memory");
    return sum;
  }
};

template <>
struct Rounds<64> {
  __device__ static float multiply(int rounds, const std::uint64_t (&a)[2],
                                   const std::uint64_t (&b)[2]) {
    float sum;
    asm volatile(
        "{.reg .f32 c<32>; .reg .pred adds, more; .reg .u32 left;\n"
        "mov.u32 left, %5; setp.ne.u32 adds, left, %5;\n"
        "ROUND: wgmma.fence.sync.aligned;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15,c16,c17,c18,c19,c20,"
        "c21,c22,c23,c24,c25,c26,c27,c28,c29,c30,c31}"
        ", %1, %3, adds, 1, 1, 0, 0;\n"
        "setp.eq.u32 adds, left, left;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15,c16,c17,c18,c19,c20,"
        "c21,c22,c23,c24,c25,c26,c27,c28,c29,c30,c31}"
        ", %2, %4, adds, 1, 1, 0, 0;\n"
        "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n"
        "sub.u32 left, left, 1; setp.ne.u32 more, left, 0; @more bra ROUND;\n"
        "add.f32 %0, c0, c31;}\n"
        : "=f"(sum)
        : "l"(a[0]), "l"(a[1]), "l"(b[0]), "l"(b[1]), "r"(rounds)
        : "memory");
    return sum;
  }
};

template <>
struct Rounds<128> {
  __device__ static float multiply(int rounds, const std::uint64_t (&a)[2],
                                   const std::uint64_t (&b)[2]) {
    float sum;
    asm volatile(
        "{.reg .f32 c<64>; .reg .pred adds, more; .reg .u32 left;\n"
        "mov.u32 left, %5; setp.ne.u32 adds, left, %5;\n"
        "ROUND: wgmma.fence.sync.aligned;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15,c16,c17,c18,c19,c20,"
        "c21,c22,c23,c24,c25,c26,c27,c28,c29,c30,c31,c32,c33,c34,c35,c36,c37,c38,c39,"
        "c40,c41,c42,c43,c44,c45,c46,c47,c48,c49,c50,c51,c52,c53,c54,c55,c56,c57,c58,"
        "c59,c60,c61,c62,c63}"
        ", %1, %3, adds, 1, 1, 0, 0;\n"
        "setp.eq.u32 adds, left, left;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15,c16,c17,c18,c19,c20,"
        "c21,c22,c23,c24,c25,c26,c27,c28,c29,c30,c31,c32,c33,c34,c35,c36,c37,c38,c39,"
        "c40,c41,c42,c43,c44,c45,c46,c47,c48,c49,c50,c51,c52,c53,c54,c55,c56,c57,c58,"
        "c59,c60,c61,c62,c63}"
        ", %2, %4, adds, 1, 1, 0, 0;\n"
        "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n"
        "sub.u32 left, left, 1; setp.ne.u32 more, left, 0; @more bra ROUND;\n"
        "add.f32 %0, c0, c63;}\n"
        : "=f"(sum)
        : "l"(a[0]), "l"(a[1]), "l"(b[0]), "l"(b[1]), "r"(rounds)
        : "memory");
    return sum;
  }
};

template <>
struct Rounds<256> {
  __device__ static float multiply(int rounds, const std::uint64_t (&a)[2],
                                   const std::uint64_t (&b)[2]) {
    float sum;
    asm volatile(
        "{.reg .f32 c<128>; .reg .pred adds, more; .reg .u32 left;\n"
        "mov.u32 left, %5; setp.ne.u32 adds, left, %5;\n"
        "ROUND: wgmma.fence.sync.aligned;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15,c16,c17,c18,c19,c20,"
        "c21,c22,c23,c24,c25,c26,c27,c28,c29,c30,c31,c32,c33,c34,c35,c36,c37,c38,c39,"
        "c40,c41,c42,c43,c44,c45,c46,c47,c48,c49,c50,c51,c52,c53,c54,c55,c56,c57,c58,"
        "c59,c60,c61,c62,c63,c64,c65,c66,c67,c68,c69,c70,c71,c72,c73,c74,c75,c76,c77,"
        "c78,c79,c80,c81,c82,c83,c84,c85,c86,c87,c88,c89,c90,c91,c92,c93,c94,c95,c96,"
        "c97,c98,c99,c100,c101,c102,c103,c104,c105,c106,c107,c108,c109,c110,c111,c112,"
        "c113,c114,c115,c116,c117,c118,c119,c120,c121,c122,c123,c124,c125,c126,c127}"
        ", %1, %3, adds, 1, 1, 0, 0;\n"
        "setp.eq.u32 adds, left, left;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 "
        "{c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15,c16,c17,c18,c19,c20,"
        "c21,c22,c23,c24,c25,c26,c27,c28,c29,c30,c31,c32,c33,c34,c35,c36,c37,c38,c39,"
        "c40,c41,c42,c43,c44,c45,c46,c47,c48,c49,c50,c51,c52,c53,c54,c55,c56,c57,c58,"
        "c59,c60,c61,c62,c63,c64,c65,c66,c67,c68,c69,c70,c71,c72,c73,c74,c75,c76,c77,"
        "c78,c79,c80,c81,c82,c83,c84,c85,c86,c87,c88,c89,c90,c91,c92,c93,c94,c95,c96,"
        "c97,c98,c99,c100,c101,c102,c103,c104,c105,c106,c107,c108,c109,c110,c111,c112,"
        "c113,c114,c115,c116,c117,c118,c119,c120,c121,c122,c123,c124,c125,c126,c127}"
        ", %2, %4, adds, 1, 1, 0, 0;\n"
        "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n"
        "sub.u32 left, left, 1; setp.ne.u32 more, left, 0; @more bra ROUND;\n"
        "add.f32 %0, c0, c127;}\n"
        : "=f"(sum)
        : "l"(a[0]), "l"(a[1]), "l"(b[0]), "l"(b[1]), "r"(rounds)
        : "memory");
    return sum;
  }
};

#else

template <int Units>
struct Rounds {
  __device__ static float multiply(int, const std::uint64_t (&)[2], const std::uint64_t (&)[2]) {
    __trap();
    return 0;
  }
};

#endif

template <int Units>
struct Operands {
  alignas(128) uint4 a[2][2 * kStep / kOctet][64], b[2 * kStep / kOctet][Units];
};

// Halves of magnitude 1/2 to 1, of both signs.
__device__ uint4 random_octet(unsigned seed) {
  uint4 octet;
  for (unsigned* word : {&octet.x, &octet.y, &octet.z, &octet.w}) {
    seed = seed * 1664525u + 1013904223u;
    *word = (seed & 0x83ff83ffu) | 0x38003800u;
  }
  return octet;
}

template <int Units>
__global__ void __launch_bounds__(kThreads) multiply_random(int rounds, float* out) {
  auto& memory = shared_memory<Operands<Units>>();
  const unsigned seed = blockIdx.x * kThreads + threadIdx.x;
  uint4* const a = &memory.a[0][0][0];
  for (unsigned e = threadIdx.x; e < sizeof memory.a / sizeof *a; e += kThreads)
    a[e] = random_octet(seed + 7 * e);
  uint4* const b = &memory.b[0][0];
  for (unsigned e = threadIdx.x; e < sizeof memory.b / sizeof *b; e += kThreads)
    b[e] = random_octet(seed + 11 * e);
  show_to_products();
  __syncthreads();
  auto& mine = memory.a[threadIdx.x / 128];
  const std::uint64_t rows[2] = {matrix_descriptor(mine[0], sizeof mine[0], kCoreMatrix),
                                 matrix_descriptor(mine[2], sizeof mine[0], kCoreMatrix)};
  const std::uint64_t units[2] = {matrix_descriptor(memory.b[0], sizeof memory.b[0], kCoreMatrix),
                                  matrix_descriptor(memory.b[2], sizeof memory.b[0], kCoreMatrix)};
  const float sum = Rounds<Units>::multiply(rounds, rows, units);
  if (sum == 0.123456f) *out = sum;  // so that no work is left out
}

template <int Units>
void measure(int rounds, int multiprocessors, const Stream& stream) {
  DeviceArray<float> out(1, stream);
  const unsigned grid = 8 * multiprocessors;
  double seconds = 1e300;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    const auto start = std::chrono::steady_clock::now();
    launch("multiply_random", multiply_random<Units>,
           LaunchShape{dim3(grid), dim3(kThreads), sizeof(Operands<Units>)}, stream, rounds,
           out.data());
    stream.synchronize();
    seconds = std::min(
        seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double operations = 2. * 64 * Units * 2 * kStep * (kThreads / 128) * grid * rounds;
  std::printf("| wgmma m64n%dk16, float16, random values | %.4g | TFLOP/s |\n", Units,
              operations / seconds / 1e12);
  std::fflush(stdout);
}

// 64 lines of A from line `first` on, times 32 units: C = A Bᵀ, A (72, 16), B (32, 16).
__global__ void multiply_from_line(const float* a, const float* b, int first, float* c) {
  struct Pair {
    alignas(128) uint4 a[2][72], b[2][32];
  };
  auto& memory = shared_memory<Pair>();
  const auto pack = [](const float* line) {
    return uint4{pack_half2(line[0], line[1]), pack_half2(line[2], line[3]),
                 pack_half2(line[4], line[5]), pack_half2(line[6], line[7])};
  };
  for (int e = threadIdx.x; e < 2 * 72; e += 128)
    memory.a[e / 72][e % 72] = pack(a + e % 72 * kStep + e / 72 * kOctet);
  for (int e = threadIdx.x; e < 2 * 32; e += 128)
    memory.b[e / 32][e % 32] = pack(b + e % 32 * kStep + e / 32 * kOctet);
  show_to_products();
  __syncthreads();
  float sums[1][4][4] = {};
  begin_products(sums);
  multiply_async(sums[0], matrix_descriptor(&memory.a[0][first], sizeof memory.a[0], kCoreMatrix),
                 matrix_descriptor(memory.b[0], sizeof memory.b[0], kCoreMatrix));
  commit_products();
  wait_for_products(sums);
  for (int n = 0; n < 4; ++n)
    for (int i = 0; i < 4; ++i) {
      const int row = 16 * warp_index() + lane_index() / 4 + 8 * (i / 2);
      c[row * 32 + 8 * n + 2 * (lane_index() % 4) + i % 2] = sums[0][n][i];
    }
}

void try_starts(const Stream& stream) {
  std::vector<float> a(72 * kStep), b(32 * kStep), c(64 * 32);
  for (std::size_t e = 0; e < a.size(); ++e) a[e] = static_cast<float>(e * 7 % 33) - 16;
  for (std::size_t e = 0; e < b.size(); ++e) b[e] = static_cast<float>(e * 5 % 29) - 14;
  DeviceArray<float> on_a(a.size(), stream), on_b(b.size(), stream), on_c(c.size(), stream);
  on_a.copy_in(a, stream);
  on_b.copy_in(b, stream);
  for (int first = 0; first <= 8; ++first) {
    launch("multiply_from_line", multiply_from_line, LaunchShape{dim3(1), dim3(128), 4096}, stream,
           on_a.data(), on_b.data(), first, on_c.data());
    on_c.copy_out(c, stream);
    stream.synchronize();
    int wrong = 0;
    for (int row = 0; row < 64; ++row)
      for (int unit = 0; unit < 32; ++unit) {
        float sum = 0;
        for (int k = 0; k < kStep; ++k) sum += a[(first + row) * kStep + k] * b[unit * kStep + k];
        wrong += c[row * 32 + unit] != sum;
      }
    std::printf("| matrix at byte %d of 128 | %d of 2048 | wrong |\n", 16 * first % 128, wrong);
  }
}

void measure_all(double share) {
  int multiprocessors = 0, major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0), "device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "device");
  std::printf("| products of a warpgroup | measured | |\n|---|---|---|\n");
  if (major != 9 || minor != 0 || !loaded_code().warpgroups) {
    std::printf("| none: the card has no such products | | |\n");
    return;
  }
  const Stream stream;
  const auto rounds = [&](int units) {
    return std::max(1, static_cast<int>(share * 20000 * 32 / units));
  };
  try_starts(stream);
  measure<32>(rounds(32), multiprocessors, stream);
  measure<64>(rounds(64), multiprocessors, stream);
  measure<128>(rounds(128), multiprocessors, stream);
  measure<256>(rounds(256), multiprocessors, stream);
}

}  // namespace
}  // namespace ffjord::cuda

int main(int count, char** arguments) {
  try {
    ffjord::cuda::measure_all(count > 1 ? std::atof(arguments[1]) : 1);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_wgmma: %s\n", error.what());
    return 1;
  }
}
