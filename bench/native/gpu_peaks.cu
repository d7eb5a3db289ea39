// What the card at hand reaches at most, as rows of a Markdown table to read the times of gpu_times
// beside: rates of the arithmetics that products use, of memory, and the cost of waiting. The best
// of several repetitions by the host's clock.
//   gpu_peaks [SHARE of the work: 1]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "cuda/device/device_loop.h"
#include "cuda/device/intrinsics.h"
#include "cuda/device/launch.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {
namespace {

constexpr int kThreads = 256, kRepetitions = 10;

// Results leave a kernel by a condition that never holds, so that no work is left out.
__device__ void keep(float sum, float* out) {
  if (sum == 0.123456f) *out = sum;
}

// 16 independent sums a thread.
__global__ void __launch_bounds__(kThreads) add_products(int rounds, float* out) {
  float sums[16] = {};
  const float x = 1e-3f * static_cast<float>(threadIdx.x), y = 0.999f;
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (float& sum : sums) sum = fmaf(sum, y, x);
  float total = 0;
  for (const float sum : sums) total += sum;
  keep(total, out);
}

// 8 independent fragments of 16 × 8 a warp; `multiply(c, a, b)`.
template <class Multiply>
__device__ void multiply_fragments(int rounds, float* out, const Multiply& multiply) {
  float sums[8][4] = {};
  const unsigned a[4] = {threadIdx.x, 0, 0, 0}, b[2] = {0, 0};
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (auto& sum : sums) multiply(sum, a, b);
  float total = 0;
  for (const auto& sum : sums) total += sum[0] + sum[1] + sum[2] + sum[3];
  keep(total, out);
}
__global__ void __launch_bounds__(kThreads) multiply_tf32(int rounds, float* out) {
  multiply_fragments(rounds, out, [](auto&... operands) { mma_tf32(operands...); });
}
__global__ void __launch_bounds__(kThreads) multiply_f16(int rounds, float* out) {
  multiply_fragments(rounds, out, [](auto&... operands) { mma_f16(operands...); });
}

struct Operands {
  alignas(128) uint4 a[4][64], b[4][64];
};
// Two warpgroups, each 64 × 32, 32 deep twelve times a commit.
__global__ void __launch_bounds__(kThreads) multiply_by_warpgroups(int rounds, float* out) {
  auto& memory = shared_memory<Operands>();
  memory.a[threadIdx.x / 64][threadIdx.x % 64] = {};
  memory.b[threadIdx.x / 64][threadIdx.x % 64] = {};
  show_to_products();
  __syncthreads();
  float sums[1][4][4] = {};
  const int first_unit = 32 * (threadIdx.x / 128);
  for (int round = 0; round < rounds; ++round) {
    begin_products(sums);
#pragma unroll
    for (int product = 0; product < 24; ++product) {
      const int octet = 2 * (product % 2);
      multiply_async(sums[0], matrix_descriptor(memory.a[octet], sizeof memory.a[0], 128),
                     matrix_descriptor(&memory.b[octet][first_unit], sizeof memory.b[0], 128));
    }
    commit_products();
    wait_for_products(sums);
  }
  keep(sums[0][0][0], out);
}

__global__ void copy_values(const float4* from, std::size_t count, float4* to) {
  const std::size_t step = std::size_t(gridDim.x) * kThreads;
  for (std::size_t i = std::size_t(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step)
    to[i] = from[i];
}

// Reads all of an array that fits the second-level cache, again and again.
__global__ void __launch_bounds__(kThreads)
    read_values(int rounds, const float4* from, unsigned count, float* out) {
  float4 sum{};
  const unsigned step = gridDim.x * kThreads;
  for (int round = 0; round < rounds; ++round)
#pragma unroll 8
    for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < count; i += step) {
      const float4 value = __ldcg(from + i);
      sum.x += value.x;
      sum.y += value.y;
      sum.z += value.z;
      sum.w += value.w;
    }
  keep(sum.x + sum.y + sum.z + sum.w, out);
}

__global__ void __launch_bounds__(kThreads) meet(int rounds) {
  for (int round = 0; round < rounds; ++round) sync_grid();
}

__global__ void pass() {}
__global__ void count_down(LoopCondition condition, int* left) {
  set_loop_condition(condition, --*left > 0);
}

/// Seconds of the quickest repetition, the stream's work done.
double best(const Stream& stream, const std::function<void()>& work) {
  double seconds = 1e300;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    const auto start = std::chrono::steady_clock::now();
    work();
    stream.synchronize();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    seconds = std::min(seconds, taken.count());
  }
  return seconds;
}

void row(const char* name, double value, const char* unit) {
  std::printf("| %s | %.4g | %s |\n", name, value, unit);
}

void measure_rates(const Stream& stream, int blocks, int rounds, bool tensor, bool warpgroups) {
  DeviceArray<float> out(1, stream);
  const unsigned grid = 8 * blocks;
  const auto rate = [&](const char* name, auto kernel, std::size_t shared, double operations) {
    const double seconds = best(stream, [&] {
      launch(name, kernel, LaunchShape{dim3(grid), dim3(kThreads), shared}, stream, rounds,
             out.data());
    });
    return grid * double(rounds) * operations / seconds / 1e12;
  };
  constexpr double warps = kThreads / 32;
  row("float32 multiply-adds", rate("add_products", add_products, 0, 2. * 16 * kThreads),
      "TFLOP/s");
  if (tensor) {
    row("mma.sync, TF32", rate("multiply_tf32", multiply_tf32, 0, 8 * warps * 2 * 16 * 8 * 8),
        "TFLOP/s");
    row("mma.sync, float16", rate("multiply_f16", multiply_f16, 0, 8 * warps * 2 * 16 * 8 * 16),
        "TFLOP/s");
  }
  if (warpgroups)
    row("wgmma, float16, both operands in shared memory",
        rate("multiply_by_warpgroups", multiply_by_warpgroups, sizeof(Operands),
             2. * 24 * 2 * 64 * 32 * 16),
        "TFLOP/s");
}

void measure_memory(const Stream& stream, int blocks, std::size_t count) {
  DeviceArray<float4> from(count, stream), to(count, stream);
  from.fill(0, stream);
  const double seconds = best(stream, [&] {
    launch("copy_values", copy_values, LaunchShape{dim3(8 * blocks), dim3(kThreads)}, stream,
           from.data(), count, to.data());
  });
  row("copy within the device, read and written",
      2 * sizeof(float4) * double(count) / seconds / 1e9, "GB/s");
}

// Three fifths of the cache, so that all of it stays there.
void measure_cache(const Stream& stream, int blocks, int rounds) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, 0), "device");
  const unsigned count = static_cast<unsigned>(bytes / 5 * 3 / sizeof(float4));
  DeviceArray<float4> from(count, stream);
  DeviceArray<float> out(1, stream);
  from.fill(0, stream);
  const double seconds = best(stream, [&] {
    launch("read_values", read_values, LaunchShape{dim3(8 * blocks), dim3(kThreads)}, stream,
           rounds, from.data(), count, out.data());
  });
  row("read from the second-level cache", double(rounds) * count * sizeof(float4) / seconds / 1e9,
      "GB/s");
}

void measure_waits(const Stream& stream, int blocks, int rounds) {
  LaunchShape cooperative{dim3(blocks), dim3(kThreads)};
  cooperative.cooperative = true;
  const auto meeting = [&](int times) {
    return best(stream, [&] { launch("meet", meet, cooperative, stream, times); });
  };
  row("barrier of the grid", 1e6 * (meeting(2 * rounds) - meeting(rounds)) / rounds, "us");
  row("launch of a kernel, and the wait for it",
      1e6 * best(stream, [&] { launch("pass", pass, LaunchShape{}, stream); }), "us");
  if (!DeviceLoop::supported()) return;
  DeviceArray<int> left(1, stream);
  const auto trip = [&](int kernels) {
    const DeviceLoop loop(stream, [&](LoopCondition condition) {
      for (int i = 1; i < kernels; ++i) launch("pass", pass, LaunchShape{}, stream);
      launch("count_down", count_down, LaunchShape{}, stream, condition, left.data());
    });
    return best(stream,
                [&] {
                  left.copy_in(std::span<const int>(&rounds, 1), stream);
                  loop.run(stream);
                }) /
           rounds;
  };
  const double one = trip(1), many = trip(11);
  row("trip of a loop of the device, of one kernel", 1e6 * one, "us");
  row("one more kernel in it", 1e6 * (many - one) / 10, "us");
}

void measure(double share) {
  int blocks = 0, major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, 0), "device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "device");
  const Stream stream;
  const auto part = [&](double whole) { return std::max(1, static_cast<int>(share * whole)); };
  std::printf("| peak | measured | |\n|---|---|---|\n");
  measure_rates(stream, blocks, part(4000), major >= 8,
                major == 9 && minor == 0 && loaded_code().warpgroups);
  measure_memory(stream, blocks, part(1 << 26));
  measure_cache(stream, blocks, part(100));
  measure_waits(stream, blocks, part(1000));
}

}  // namespace
}  // namespace ffjord::cuda

int main(int count, char** arguments) {
  try {
    ffjord::cuda::measure(count > 1 ? std::atof(arguments[1]) : 1);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_peaks: %s\n", error.what());
    return 1;
  }
}
