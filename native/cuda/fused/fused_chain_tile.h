// Products of a small net whose activations never leave the registers: what a warp sums for one
// layer is, as it lies, the operand of the next (the layouts of m16n8k16 in intrinsics.h).
//
// A warp has 16 rows and all units of each channel, a value and its tangents. Products are 3 × FP16
// (halves.h); every row of every channel is scaled by itself, and comes out the same whatever its
// neighbours hold. Weights have one scale a layer and are split once, when they are brought into
// shared memory. Small products have sums of their own, so that the cores cut large ones less
// often.
//
// Per 16 rows, `steps` of 16 deep and `blocks` of 8 units, at C channels: 3 C steps blocks products
// of fragments, steps blocks loads of 512 bytes, for 128 C steps blocks multiply-adds a row.
// Registers of two channels: 64 of sums, 64 of operands, 16 of the block under way.
#pragma once

#include <type_traits>

#include "cuda/product/halves.h"

namespace ffjord::cuda {

template <int ChannelCount>
struct FusedChainTile {
  template <int Registers>
  struct Halves {
    unsigned high[Registers], low[Registers];
  };

  static constexpr int kWarps = 4, kThreads = 32 * kWarps, kRows = 16 * kWarps;
  static constexpr int kChannels = ChannelCount;
  /// Channels that share what they load of the weights: of three, the registers hold no two at
  /// once.
  static constexpr int kTogether = ChannelCount == 2 ? 2 : 1;
  static constexpr int kStep = 16;  ///< depth of a product of fragments
  static constexpr int kMostUnits = 64, kBlocks = kMostUnits / 8, kSteps = kMostUnits / kStep;
  static constexpr int kWeightPadding = 0;
  /// Neighbouring lanes, and warps, that share the present thread's rows.
  static constexpr int kLanesAcross = 4, kWarpsAcross = 1;

  /// What a thread holds of a channel: [block of 8 units][entry], entries as C of m16n8k16.
  using Entries = float[kBlocks][4];
  /// A for each step of 16 deep.
  using Operands = Halves<4>[kSteps];
  /// Inverse scales of the present thread's rows g and g + 8.
  using Downs = float[2];

  /// Entries of a row, padded to whole steps of depth.
  __host__ __device__ static constexpr int padded(int entries) {
    return (entries + kStep - 1) / kStep * kStep;
  }
  /// Where the present thread's entry (block, e) lies within the tile and the layer.
  __device__ static int row(int e) { return 16 * warp_index() + lane_index() / 4 + 8 * (e / 2); }
  __device__ static int unit(int block, int e) {
    return 8 * block + 2 * (lane_index() % 4) + e % 2;
  }

  /// Splits W (depth, width) into fragments of B [block][step][lane] {high, high, low, low}, zeros
  /// beyond its edges. All threads of the block take part.
  __device__ static void split_weights(const float* from, int depth, int width, float up,
                                       uint4* to) {
    const int steps = padded(depth) / kStep, blocks = padded(width) / 8;
    const auto weight = [&](int k, int j) {
      return k < depth && j < width ? from[std::size_t(k) * width + j] : 0.f;
    };
    for (int e = threadIdx.x; e < blocks * steps * 32; e += kThreads) {
      const int lane = e % 32, step = e / 32 % steps, block = e / 32 / steps;
      const int k = kStep * step + 2 * (lane % 4), j = 8 * block + lane / 4;
      Halves<2> w;
#pragma unroll
      for (int i = 0; i < 2; ++i)
        split_halves(weight(k + 8 * i, j) * up, weight(k + 8 * i + 1, j) * up, w.high[i], w.low[i]);
      to[e] = {w.high[0], w.high[1], w.low[0], w.low[1]};
    }
  }

  /// The operands that a channel's entries are for a layer of so many steps. All lanes of the warp.
  template <int Steps>
  __device__ static __forceinline__ void split_entries(const Entries& x, Operands& a,
                                                       Downs& downs) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      unsigned largest = 0;
#pragma unroll
      for (int block = 0; block < 2 * Steps; ++block)
#pragma unroll
        for (int e = 2 * i; e < 2 * i + 2; ++e) largest = max(largest, magnitude(x[block][e]));
      largest = max(largest, __shfl_xor_sync(~0u, largest, 1));
      largest = max(largest, __shfl_xor_sync(~0u, largest, 2));
      const int exponent = scale_exponent(largest);
      const float up = power_of_two(exponent);
      downs[i] = power_of_two(-exponent);
#pragma unroll
      for (int block = 0; block < 2 * Steps; ++block) {
        const int at = i + 2 * (block % 2);
        split_halves(x[block][2 * i] * up, x[block][2 * i + 1] * up, a[block / 2].high[at],
                     a[block / 2].low[at]);
      }
    }
  }

  /// sums ← the products of one block of units, still scaled, for some channels that share the
  /// weights; `weights`: of its first step.
  template <int Steps, int Channels>
  __device__ static __forceinline__ void multiply_block(const Operands (&a)[Channels],
                                                        const uint4* weights,
                                                        float (&sums)[Channels][4]) {
    float high[Channels][4] = {}, low[Channels][4] = {};
#pragma unroll
    for (int step = 0; step < Steps; ++step) {
      const uint4 w = load_shared_volatile(weights + 32 * step + lane_index());
      const unsigned w_high[2] = {w.x, w.y}, w_low[2] = {w.z, w.w};
#pragma unroll
      for (int channel = 0; channel < Channels; ++channel) {
        mma_f16(low[channel], a[channel][step].low, w_high);
        mma_f16(low[channel], a[channel][step].high, w_low);
        mma_f16(high[channel], a[channel][step].high, w_high);
      }
    }
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel)
#pragma unroll
      for (int e = 0; e < 4; ++e) sums[channel][e] = high[channel][e] + low[channel][e];
  }

  /// multiply(constant) with the number of steps as a constant.
  template <class Multiply>
  __device__ static __forceinline__ void with_steps(int depth, const Multiply& multiply) {
    static_assert(kSteps == 4);
    switch ((depth + kStep - 1) / kStep) {
      case 1:
        return multiply(std::integral_constant<int, 1>());
      case 2:
        return multiply(std::integral_constant<int, 2>());
      case 3:
        return multiply(std::integral_constant<int, 3>());
      default:
        return multiply(std::integral_constant<int, 4>());
    }
  }
};

template <class Tile>
concept Chained = requires {
  typename Tile::Operands;
};

}  // namespace ffjord::cuda
