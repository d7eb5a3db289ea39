// Kernels with a fault put in on purpose: the checks that pass the sound kernel must catch each.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "test/cuda/kernels.h"

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

// What is wrong with the product of this kernel, in words; empty if nothing is.
template <Fault fault>
std::string verdict(const Stream& stream) {
  std::mt19937_64 generator(11);
  const auto a = normal_floats(kRows * kDepth, generator),
             b = normal_floats(kColumns * kDepth, generator);
  const auto d_a = on_device(a, stream), d_b = on_device(b, stream);
  DeviceArray<float> d_c(kRows * kColumns, stream);
  std::vector<float> c;
  const std::string thrown = error_of([&] {
    launch("tile_product", tile_product<fault>, {1, 64, sizeof(TileStorage)}, stream, d_a.data(),
           d_b.data(), d_c.data());
    c = from_device(d_c, stream);
  });
  if (!thrown.empty()) return thrown;
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kColumns; ++j) {
      double sum = 0, size = 0;
      for (int k = 0; k < kDepth; ++k) {
        const double term = static_cast<double>(a[i * kDepth + k]) * b[j * kDepth + k];
        sum += term;
        size += std::abs(term);
      }
      const double error = std::abs(c[i * kColumns + j] - sum) / size;
      if (!(error < 3e-7)) return "an entry is off by " + std::to_string(error);
    }
  return "";
}

template <Fault fault>
void must_be_caught(Report& report, const char* name, const Stream& stream) {
  const std::string found = verdict<fault>(stream);
  std::printf("  %-24s %s\n", name, found.empty() ? "NOT CAUGHT" : found.c_str());
  report.expect(name, !found.empty());
}

}  // namespace

int main() {
  setenv("FFJORD_EMULATOR_RACES", "all", 1);  // before the device is there
  Report report;
  const Stream stream;
  const std::string sound = verdict<Fault::None>(stream);
  if (!sound.empty()) std::printf("  the sound kernel: %s\n", sound.c_str());
  report.expect("the sound kernel passes", sound.empty());
  must_be_caught<Fault::DroppedBarrier>(report, "a dropped barrier", stream);
  must_be_caught<Fault::SecondBarrierDropped>(report, "a dropped second barrier", stream);
  must_be_caught<Fault::SwappedLane>(report, "a swapped lane", stream);
  must_be_caught<Fault::OffByOneTile>(report, "an off-by-one tile", stream);
  must_be_caught<Fault::MissingScale>(report, "a missing scale", stream);
  must_be_caught<Fault::MissingWait>(report, "a missing wait", stream);
  report.finish("mutants");
  return report.failures() > 0;
}
