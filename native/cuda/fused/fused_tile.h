// Products of a small net whose weights and activations lie in shared memory: C (rows, units) =
// A (rows, depth) B (depth, units), for a value and its tangents at once.
//
// A block of 128 threads holds kRows rows; kStripe neighbouring units of a row are one stripe, and
// a thread sums RowsAThread × UnitsAThread entries of each channel. A row of A or B is padded to
// whole vectors of four, with zeros. Sums go through the depth in order, so that a row comes out
// the same whatever the shape of the tile. Registers: Channels × RowsAThread × UnitsAThread sums,
// as many operands of A times four, four vectors of B.
#pragma once

#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

template <int RowsAThread, int UnitsAThread, int ChannelCount>
struct FusedTile {
  static constexpr int kThreads = 128, kStripe = 64, kAcross = kStripe / UnitsAThread;
  static constexpr int kRowsAThread = RowsAThread, kUnitsAThread = UnitsAThread;
  static constexpr int kRows = kThreads / kAcross * RowsAThread;
  static constexpr int kChannels = ChannelCount;
  static constexpr int kVector = 4;  ///< to whole ones of which a row of A or B is padded
  using Sums = float[kChannels][kRowsAThread][kUnitsAThread];

  /// Entries of a row, padded to whole vectors.
  __host__ __device__ static constexpr int padded(int entries) {
    return (entries + kVector - 1) / kVector * kVector;
  }
  /// Where the present thread's entry (i, j) lies within the tile and the stripe.
  __device__ static int row(int i) { return kRowsAThread * (threadIdx.x / kAcross) + i; }
  __device__ static int unit(int j) { return kUnitsAThread * (threadIdx.x % kAcross) + j; }

  /// sums ← a b for the units of the stripe at `first_unit`. a [channels][rows][stride], b (depth,
  /// width), its rows padded; `depth` and `width` are whole vectors.
  __device__ static __forceinline__ void multiply_stripe(const float* a, int stride, const float* b,
                                                         int depth, int width, int first_unit,
                                                         Sums& sums) {
#pragma unroll
    for (int channel = 0; channel < kChannels; ++channel)
#pragma unroll
      for (int i = 0; i < kRowsAThread; ++i)
#pragma unroll
        for (int j = 0; j < kUnitsAThread; ++j) sums[channel][i][j] = 0.f;
    const int first = first_unit + unit(0);
    if (first >= width) return;
    const float* const from = a + row(0) * stride;
    const float* const weight = b + first;
#pragma unroll 1
    for (int k = 0; k < depth; k += 4) {
      float w[4][kUnitsAThread];
#pragma unroll
      for (int step = 0; step < 4; ++step)
#pragma unroll
        for (int j = 0; j < kUnitsAThread; j += 2) {
          const float2 pair = *reinterpret_cast<const float2*>(weight + (k + step) * width + j);
          w[step][j] = pair.x;
          w[step][j + 1] = pair.y;
        }
#pragma unroll
      for (int channel = 0; channel < kChannels; ++channel)
#pragma unroll
        for (int i = 0; i < kRowsAThread; ++i) {
          const float4 four =
              *reinterpret_cast<const float4*>(from + (channel * kRows + i) * stride + k);
          const float x[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
          for (int step = 0; step < 4; ++step)
#pragma unroll
            for (int j = 0; j < kUnitsAThread; ++j)
              sums[channel][i][j] = fmaf(x[step], w[step][j], sums[channel][i][j]);
        }
    }
  }
};

/// sum ← sum + aᵀ b over channels and rows: a and b as [channels][rows][stride], sum (depth,
/// width), depth and width whole vectors. A thread has 4 × 4 entries at a time.
template <class Tile>
__device__ __forceinline__ void add_outer_products(const float* a, const float* b, int stride,
                                                   int depth, int width, float* sum) {
  const int across = width / 4;
#pragma unroll 1
  for (int part = threadIdx.x; part < depth / 4 * across; part += Tile::kThreads) {
    const int k = part / across * 4, j = part % across * 4;
    float4 sums[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] = *reinterpret_cast<float4*>(sum + (k + i) * width + j);
#pragma unroll 1
    for (int row = 0; row < Tile::kChannels * Tile::kRows; ++row) {
      const float4 x = *reinterpret_cast<const float4*>(a + row * stride + k);
      const float4 y = *reinterpret_cast<const float4*>(b + row * stride + j);
      const float xs[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sums[i].x = fmaf(xs[i], y.x, sums[i].x);
        sums[i].y = fmaf(xs[i], y.y, sums[i].y);
        sums[i].z = fmaf(xs[i], y.z, sums[i].z);
        sums[i].w = fmaf(xs[i], y.w, sums[i].w);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) *reinterpret_cast<float4*>(sum + (k + i) * width + j) = sums[i];
  }
}

}  // namespace ffjord::cuda
