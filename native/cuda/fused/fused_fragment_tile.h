// Products of a small net whose units the warps of a block share, as fragments on the tensor cores
// (the layouts of m16n8k16 in intrinsics.h).
//
// A warp has 16 units of every layer, for all rows of the tile. What it sums for one layer is, as
// it lies, a step of 16 deep of the operand of the next: it splits it, and hands it over to all
// warps through shared memory. Products are 3 × FP16 (halves.h). A warp scales its step of every
// row and channel by itself, which takes no exchange with the other warps, and each step has sums
// of its own, from which its scales are undone; so the cores add up three products alone, and a row
// comes out the same whatever its neighbours hold. Weights have one scale a layer and are split
// once, when they are brought into shared memory.
//
// A fragment has eight rows of two channels (a value and a tangent), one above the other, so that
// one thread has all channels of a row. Channels that are not even in number take two eights of
// rows together. Layers are padded to the tile's width, with zeros.
//
// Per part of 8 or 16 rows a warp multiplies, at S steps and F fragments, 6 S F times 16 × 8 × 16,
// and loads 1024 S F bytes of operands; 1024 S bytes of weights serve all parts. Registers: 8 S of
// weights, 8 F of sums, 8 of the operand and 4 a product under way.
#pragma once

#include "cuda/product/halves.h"

namespace ffjord::cuda {

template <int Warps, int ChannelCount, int Rows>
struct FusedFragmentTile {
  static constexpr int kWarps = Warps, kThreads = 32 * Warps, kRows = Rows;
  static constexpr int kChannels = ChannelCount;
  static constexpr int kStep = 16;  ///< depth of a product of fragments; units of a warp
  static constexpr int kSteps = Warps, kMostUnits = kStep * Warps;
  static constexpr int kOctets = ChannelCount % 2 == 0 ? 1 : 2;
  static constexpr int kHalves = kOctets * ChannelCount, kFragments = kHalves / 2;
  static constexpr int kParts = Rows / (8 * kOctets);
  static_assert(kParts * 8 * kOctets == Rows);

  /// What a thread holds of a part of the rows: of each channel two neighbouring units of either
  /// block of eight.
  using Entries = float[kOctets][kChannels][4];
  /// B of a layer for the present warp's units: {high, high, low, low} of each step and block.
  using Weights = uint4[kSteps][2];
  /// A of a layer for a part of the rows.
  struct Operand {
    uint4 halves[kFragments][kSteps][2][32];
    float downs[kHalves][8][kSteps];  ///< undo the scales
  };

  /// Units that the warps which work at a layer of so many have.
  __host__ __device__ static constexpr int padded(int units) {
    return (units + kStep - 1) / kStep * kStep;
  }
  /// Where the present thread's entry lies within the tile and the layer.
  __device__ static int row(int part, int octet) {
    return 8 * (kOctets * part + octet) + lane_index() / 4;
  }
  __device__ static int unit(int u) {
    return kStep * warp_index() + 8 * (u / 2) + 2 * (lane_index() % 4) + u % 2;
  }

  /// Splits W (depth, width) into B [warp][step][block][lane] of so many warps, zeros beyond its
  /// edges. All threads of the block take part.
  __device__ static void split_weights(const float* from, int depth, int width, int warps, float up,
                                       uint4* to) {
    const auto weight = [&](int k, int j) {
      return k < depth && j < width ? up * from[std::size_t(k) * width + j] : 0.f;
    };
#pragma unroll 1
    for (int e = threadIdx.x; e < warps * kSteps * 2 * 32; e += kThreads) {
      const int lane = e % 32, block = e / 32 % 2, step = e / 64 % kSteps, warp = e / 64 / kSteps;
      const int k = kStep * step + 2 * (lane % 4), j = kStep * warp + 8 * block + lane / 4;
      unsigned high[2], low[2];
#pragma unroll
      for (int i = 0; i < 2; ++i)
        split_halves(weight(k + 8 * i, j), weight(k + 8 * i + 1, j), high[i], low[i]);
      to[e] = {high[0], high[1], low[0], low[1]};
    }
  }
  /// `from`: of the layer.
  __device__ static __forceinline__ void load_weights(const uint4* from, Weights& weights) {
    const uint4* const mine = from + warp_index() * (kSteps * 2 * 32) + lane_index();
#pragma unroll
    for (int step = 0; step < kSteps; ++step)
#pragma unroll
      for (int block = 0; block < 2; ++block) weights[step][block] = mine[(2 * step + block) * 32];
  }

  /// Makes the present warp's entries its step of an operand. All lanes of the warp take part.
  __device__ static __forceinline__ void hand_over(const Entries& entries, Operand& to) {
    const int lane = lane_index(), warp = warp_index();
#pragma unroll
    for (int fragment = 0; fragment < kFragments; ++fragment) {
      unsigned high[4], low[4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int half = 2 * fragment + i;
        const float(&x)[4] = entries[half / kChannels][half % kChannels];
        float largest = fmaxf(fmaxf(fabsf(x[0]), fabsf(x[1])), fmaxf(fabsf(x[2]), fabsf(x[3])));
        largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
        const HalfScale scale = half_scale(largest);
#pragma unroll
        for (int block = 0; block < 2; ++block)
          split_halves(x[2 * block] * scale.up, x[2 * block + 1] * scale.up, high[i + 2 * block],
                       low[i + 2 * block]);
        if (lane % 4 == 0) to.downs[half][lane / 4][warp] = scale.down;
      }
      uint4(&halves)[2][32] = to.halves[fragment][warp];
      halves[kHigh][lane] = {high[0], high[1], high[2], high[3]};
      halves[kLow][lane] = {low[0], low[1], low[2], low[3]};
    }
  }

  /// sums ← A B, the scales of A undone.
  __device__ static __forceinline__ void multiply(const Operand& a, const Weights& weights,
                                                  Entries& sums) {
    const int lane = lane_index();
#pragma unroll
    for (int fragment = 0; fragment < kFragments; ++fragment) {
      float4 downs[2][kSteps / 4];
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int four = 0; four < kSteps / 4; ++four)
          downs[i][four] =
              reinterpret_cast<const float4*>(a.downs[2 * fragment + i][lane / 4])[four];
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        const uint4 high = a.halves[fragment][step][kHigh][lane];
        const uint4 low = a.halves[fragment][step][kLow][lane];
        const unsigned a_high[4] = {high.x, high.y, high.z, high.w};
        const unsigned a_low[4] = {low.x, low.y, low.z, low.w};
#pragma unroll
        for (int block = 0; block < 2; ++block) {
          const uint4& w = weights[step][block];
          float products[4] = {};
          mma_f16(products, a_low, {w.x, w.y});
          mma_f16(products, a_high, {w.z, w.w});
          mma_f16(products, a_high, {w.x, w.y});
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int half = 2 * fragment + e / 2;
            const float4& four = downs[e / 2][step / 4];
            const float down = step % 4 == 0   ? four.x
                               : step % 4 == 1 ? four.y
                               : step % 4 == 2 ? four.z
                                               : four.w;
            float& sum = sums[half / kChannels][half % kChannels][2 * block + e % 2];
            sum = step == 0 ? products[e] * down : fmaf(products[e], down, sum);
          }
        }
      }
    }
  }
};

template <class Tile>
concept InFragments = requires {
  typename Tile::Operand;
};

}  // namespace ffjord::cuda
