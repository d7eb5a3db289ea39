// The products of fused_tile.h on the tensor cores, by 3 × TF32 (tf32.h), for batches of
// many rows. A warp has all rows of the tile and 16 units of a stripe, as fragments of 16 × 8.
//
// Activations and weights are split where they are read. Sums of 32 deep are made in the tensor
// core, and added up in float32. Registers at two channels and 32 rows: 32 sums, 16 of the chunk,
// 24 of fragments, addresses.
#pragma once

#include "cuda/fused/fused_tile.h"
#include "cuda/product/tf32.h"

namespace ffjord::cuda {

template <int RowsAThread, int ChannelCount>
struct FusedTensorTile {
  static constexpr int kThreads = 128, kStripe = 64;
  static constexpr int kRowsAThread = RowsAThread, kUnitsAThread = 4;
  static constexpr int kRows = 8 * RowsAThread, kChannels = ChannelCount;
  static constexpr int kVector = kTf32Step, kWeightPadding = kTf32WeightPadding;
  static constexpr int kLanesAcross = 4, kWarpsAcross = 4;
  using Sums = float[kChannels][kRowsAThread][kUnitsAThread];

  __host__ __device__ static constexpr int padded(int entries) {
    return (entries + kVector - 1) / kVector * kVector;
  }
  __device__ static int row(int i) { return lane_index() / 4 + 8 * i; }
  __device__ static int unit(int j) {
    return 16 * warp_index() + 8 * (j / 2) + 2 * (lane_index() % 4) + j % 2;
  }

  /// Does what its namesake of fused_tile.h does.
  __device__ static __forceinline__ void multiply_stripe(const float* a, int stride, const float* b,
                                                         int depth, int width, int first_unit,
                                                         Sums& sums) {
    constexpr int kFragments = kRowsAThread / 2, kChunk = 32;
    const int weight_stride = width + kWeightPadding;
    const int g = lane_index() / 4, q = lane_index() % 4;
#pragma unroll
    for (int channel = 0; channel < kChannels; ++channel)
#pragma unroll
      for (int i = 0; i < kRowsAThread; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[channel][i][j] = 0.f;
    const int warp_unit = first_unit + 16 * warp_index();
    if (warp_unit >= width) return;
    // The second fragment of a warp may lie beyond the weights; its products are nobody's.
    const float* const from = a + g * stride + q;
    const float* const weight = b + q * weight_stride + warp_unit + g;
    const int second = warp_unit + 8 < width ? 8 : 0;
#pragma unroll 1
    for (int first = 0; first < depth; first += kChunk) {
      float chunk[kChannels][kFragments][2][4] = {};
      const int end = first + kChunk < depth ? first + kChunk : depth;
#pragma unroll 1
      for (int k = first; k < end; k += kTf32Step) {
        Tf32Pair<2> w[2];
#pragma unroll
        for (int n = 0; n < 2; ++n)
#pragma unroll
          for (int i = 0; i < 2; ++i)
            split_tf32(weight[(k + 4 * i) * weight_stride + n * second], w[n].high[i], w[n].low[i]);
#pragma unroll
        for (int channel = 0; channel < kChannels; ++channel)
#pragma unroll
          for (int m = 0; m < kFragments; ++m) {
            Tf32Pair<4> x;
#pragma unroll
            for (int i = 0; i < 4; ++i)
              split_tf32(from[(channel * kRows + 16 * m + 8 * (i % 2)) * stride + k + 4 * (i / 2)],
                         x.high[i], x.low[i]);
#pragma unroll
            for (int n = 0; n < 2; ++n) {
              mma_tf32(chunk[channel][m][n], x.low, w[n].high);
              mma_tf32(chunk[channel][m][n], x.high, w[n].low);
              mma_tf32(chunk[channel][m][n], x.high, w[n].high);
            }
          }
      }
#pragma unroll
      for (int channel = 0; channel < kChannels; ++channel)
#pragma unroll
        for (int i = 0; i < kRowsAThread; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j)
            sums[channel][i][j] += chunk[channel][i / 2][j / 2][2 * (i % 2) + j % 2];
    }
  }
};

}  // namespace ffjord::cuda
