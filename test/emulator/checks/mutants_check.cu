// Kernels with a fault put in on purpose: the checks that pass the sound kernel must catch each.
#include <cmath>
#include <cstdio>
#include <utility>

#include "test/cuda/kernels.h"
#include "test/emulator/device.h"

namespace {

using namespace checks;

enum class Fault {
  None,
  DroppedBarrier,
  SecondBarrierDropped,
  SwappedLane,
  OffByOneTile,
  MissingScale,
  MissingWait
};

constexpr int kRows = 16, kColumns = 8, kDepth = 64, kStep = 16, kStages = 2;
constexpr float kLowScale = 2048;  // 2^11: brings the low part into the range of a half

struct TileStorage {
  alignas(16) float a[kStages][kRows][kStep];
  alignas(16) float b[kStages][kColumns][kStep];
};

struct Halves {
  unsigned high, low;
};

template <Fault fault>
__device__ Halves split(float x, float y) {
  const unsigned high = ffjord::cuda::pack_half2(x, y);
  const float2 rounded = ffjord::cuda::unpack_half2(high);
  return {high, ffjord::cuda::pack_half2((x - rounded.x) * kLowScale, (y - rounded.y) * kLowScale)};
}

// c (16, 8) = a (16, 64) bᵀ, b (8, 64), in float16 with low parts: the shape of the engine's
// products. 64 threads copy, the first warp multiplies.
template <Fault fault>
__global__ void tile_product(const float* a, const float* b, float* c) {
  auto& storage = ffjord::cuda::shared_memory<TileStorage>();
  const int thread = threadIdx.x, lane = thread % 32, g = lane / 4, q = lane % 4;
  const auto fetch = [&](int tile) {
    const int row = thread / 4, column = thread % 4 * 4, stage = tile % kStages;
    ffjord::cuda::copy_async_16(&storage.a[stage][row][column],
                                a + row * kDepth + tile * kStep + column);
    if (row < kColumns)
      ffjord::cuda::copy_async_16(&storage.b[stage][row][column],
                                  b + row * kDepth + tile * kStep + column);
    ffjord::cuda::commit_copies();
  };
  float high[4] = {}, low[4] = {};
  constexpr int tiles = kDepth / kStep - (fault == Fault::OffByOneTile);
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) {
      fetch(tile + 1);
      ffjord::cuda::wait_for_copies<1>();
    } else if (fault != Fault::MissingWait) {
      ffjord::cuda::wait_for_copies<0>();
    }
    if (fault != Fault::DroppedBarrier) __syncthreads();
    if (thread < 32) {
      const auto& stage_a = storage.a[tile % kStages];
      const auto& stage_b = storage.b[tile % kStages];
      unsigned a_high[4], a_low[4], b_high[2], b_low[2];
      for (int i = 0; i < 4; ++i) {
        const int swapped = fault == Fault::SwappedLane && i > 0 && i < 3 ? 3 - i : i;
        const float* row = &stage_a[g + 8 * (swapped % 2)][2 * q + 8 * (swapped / 2)];
        const Halves halves = split<fault>(row[0], row[1]);
        a_high[i] = halves.high;
        a_low[i] = halves.low;
      }
      for (int i = 0; i < 2; ++i) {
        const float* row = &stage_b[g][2 * q + 8 * i];
        const Halves halves = split<fault>(row[0], row[1]);
        b_high[i] = halves.high;
        b_low[i] = halves.low;
      }
      ffjord::cuda::mma_f16(low, a_low, b_high);
      ffjord::cuda::mma_f16(low, a_high, b_low);
      ffjord::cuda::mma_f16(high, a_high, b_high);
    }
    if (fault != Fault::SecondBarrierDropped) __syncthreads();
  }
  if (thread >= 32) return;
  for (int i = 0; i < 4; ++i)
    c[(g + 8 * (i / 2)) * kColumns + 2 * q + i % 2] =
        high[i] + low[i] * (fault == Fault::MissingScale ? 1 : 1 / kLowScale);
}

enum class GroupFault {
  None,
  NotShown,
  NotBegun,
  NotCommitted,
  NotWaitedFor,
  SwappedOffsets,
  EarlyOverwrite,
  MissingLowPart
};

constexpr int kGroupRows = 64, kGroupColumns = 32, kOctets = kDepth / 8;

struct GroupStorage {
  alignas(16) uint4 a[2][kOctets][kGroupRows], b[2][kOctets][kGroupColumns];  // [high, low]
};

// c (64, 32) = a (64, 64) bᵀ, b (32, 64), by a warpgroup, halves of which lie as core matrices.
template <GroupFault fault>
__global__ void group_product(const float* a, const float* b, float* c) {
  auto& storage = ffjord::cuda::shared_memory<GroupStorage>();
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  const auto store = [&](const float* from, uint4& high, uint4& low) {
    unsigned h[4], l[4];
    for (int i = 0; i < 4; ++i) {
      h[i] = ffjord::cuda::pack_half2(from[2 * i], from[2 * i + 1]);
      const float2 rounded = ffjord::cuda::unpack_half2(h[i]);
      l[i] = ffjord::cuda::pack_half2(from[2 * i] - rounded.x, from[2 * i + 1] - rounded.y);
    }
    high = {h[0], h[1], h[2], h[3]};
    low = {l[0], l[1], l[2], l[3]};
  };
  for (int e = thread; e < kGroupRows * kOctets; e += 128) {
    const int line = e % kGroupRows, octet = e / kGroupRows;
    store(a + line * kDepth + 8 * octet, storage.a[0][octet][line], storage.a[1][octet][line]);
  }
  for (int e = thread; e < kGroupColumns * kOctets; e += 128) {
    const int line = e % kGroupColumns, octet = e / kGroupColumns;
    store(b + line * kDepth + 8 * octet, storage.b[0][octet][line], storage.b[1][octet][line]);
  }
  if (fault != GroupFault::NotShown) ffjord::cuda::show_to_products();
  __syncthreads();
  float sums[1][4][4] = {};
  if (fault != GroupFault::NotBegun) ffjord::cuda::begin_products(sums);
  for (const auto& [part_a, part_b] : {std::pair{1, 0}, std::pair{0, 1}, std::pair{0, 0}}) {
    if (fault == GroupFault::MissingLowPart && part_b == 1) continue;
    for (int octet = 0; octet < kOctets; octet += 2) {
      const int next_octet = sizeof storage.a[0][0], next_lines = 128;
      const bool swapped = fault == GroupFault::SwappedOffsets;
      ffjord::cuda::multiply_async(
          sums[0],
          ffjord::cuda::matrix_descriptor(storage.a[part_a][octet],
                                          swapped ? next_lines : next_octet,
                                          swapped ? next_octet : next_lines),
          ffjord::cuda::matrix_descriptor(storage.b[part_b][octet], sizeof storage.b[0][0], 128));
    }
  }
  if (fault != GroupFault::NotCommitted) ffjord::cuda::commit_products();
  if (fault == GroupFault::EarlyOverwrite) storage.a[0][0][thread % kGroupRows] = {};
  if (fault != GroupFault::NotWaitedFor) ffjord::cuda::wait_for_products(sums);
  for (int n = 0; n < 4; ++n)
    for (int i = 0; i < 4; ++i)
      c[(16 * warp + lane / 4 + 8 * (i / 2)) * kGroupColumns + 8 * n + 2 * (lane % 4) + i % 2] =
          sums[0][n][i];
}

using Kernel = void (*)(const float*, const float*, float*);

/// A product of rows and columns, and how it is launched.
struct Subject {
  const char* name;
  Kernel kernel;
  int rows, columns;
  LaunchShape shape;
};
template <Fault fault>
Subject warps() {
  return {"tile_product", tile_product<fault>, kRows, kColumns, {1, 64, sizeof(TileStorage)}};
}
template <GroupFault fault>
Subject warpgroup() {
  return {"group_product",
          group_product<fault>,
          kGroupRows,
          kGroupColumns,
          {1, 128, sizeof(GroupStorage)}};
}

// What is wrong with the product of this kernel, in words; empty if nothing is.
std::string verdict(const Subject& subject, const Stream& stream) {
  std::mt19937_64 generator(11);
  const auto a = normal_floats(subject.rows * kDepth, generator),
             b = normal_floats(subject.columns * kDepth, generator);
  const auto d_a = on_device(a, stream), d_b = on_device(b, stream);
  DeviceArray<float> d_c(subject.rows * subject.columns, stream);
  std::vector<float> c;
  const std::string thrown = error_of([&] {
    launch(subject.name, subject.kernel, subject.shape, stream, d_a.data(), d_b.data(), d_c.data());
    c = from_device(d_c, stream);
  });
  if (!thrown.empty()) return thrown;
  for (int i = 0; i < subject.rows; ++i)
    for (int j = 0; j < subject.columns; ++j) {
      double sum = 0, size = 0;
      for (int k = 0; k < kDepth; ++k) {
        const double term = static_cast<double>(a[i * kDepth + k]) * b[j * kDepth + k];
        sum += term;
        size += std::abs(term);
      }
      const double error = std::abs(c[i * subject.columns + j] - sum) / size;
      if (!(error < 3e-7)) return "an entry is off by " + std::to_string(error);
    }
  return "";
}

void must_pass(Report& report, const Subject& subject, const Stream& stream) {
  const std::string found = verdict(subject, stream);
  if (!found.empty()) std::printf("  the sound %s: %s\n", subject.name, found.c_str());
  report.expect(std::string("the sound kernel passes: ") + subject.name, found.empty());
}

void must_be_caught(Report& report, const char* fault, const Subject& subject,
                    const Stream& stream) {
  const std::string found = verdict(subject, stream);
  std::printf("  %-36s %s\n", fault, found.empty() ? "NOT CAUGHT" : found.c_str());
  report.expect(fault, !found.empty());
}

}  // namespace

int main() {
  emulator::first_configuration().races = emulator::Configuration::All;
  Report report;
  const Stream stream;
  must_pass(report, warps<Fault::None>(), stream);
  must_pass(report, warpgroup<GroupFault::None>(), stream);
  const std::pair<const char*, Subject> faults[] = {
      {"a dropped barrier", warps<Fault::DroppedBarrier>()},
      {"a dropped second barrier", warps<Fault::SecondBarrierDropped>()},
      {"a swapped lane", warps<Fault::SwappedLane>()},
      {"an off-by-one tile", warps<Fault::OffByOneTile>()},
      {"a missing scale", warps<Fault::MissingScale>()},
      {"a missing wait", warps<Fault::MissingWait>()},
      {"memory not shown to a warpgroup", warpgroup<GroupFault::NotShown>()},
      {"sums not handed to a warpgroup", warpgroup<GroupFault::NotBegun>()},
      {"products of a warpgroup not committed", warpgroup<GroupFault::NotCommitted>()},
      {"products of a warpgroup not waited for", warpgroup<GroupFault::NotWaitedFor>()},
      {"swapped offsets of core matrices", warpgroup<GroupFault::SwappedOffsets>()},
      {"operands overwritten too early", warpgroup<GroupFault::EarlyOverwrite>()},
      {"a product of low parts left out", warpgroup<GroupFault::MissingLowPart>()},
  };
  for (const auto& [fault, subject] : faults) must_be_caught(report, fault, subject, stream);
  report.finish("mutants");
  return report.failures() > 0;
}
