// Products of float32 tiles on the tensor cores: every operand is a sum of two TF32 numbers, and
// the three products that matter are added up. The cores cut what they add, so that a long sum
// drifts: a chunk of kDepth is summed there, products of low parts by themselves, and chunks in
// float32 by the ordinary adders.
//
// A warp owns 32 rows × 16 units as 2 × 2 fragments of 16 × 8; with g = lane / 4, q = lane % 4 a
// thread holds rows g + 8 i and units 8 (j / 2) + 2 q + j % 2, i, j < 4. Shared memory holds a
// chunk of A by rows and of B by depth, padded so that the lanes of a fragment meet no bank twice.
// Worth its while, and as accurate as float32, from a depth of kDepth on. Registers at Channels =
// 2: 32 sums, 32 of the chunk, 24 of fragments, addresses.
#pragma once

#include <concepts>

#include "cuda/device/intrinsics.h"
#include "cuda/product/product.h"

namespace ffjord::cuda {

/// x ≈ high + low, both TF32 (11 significant bits); a b ≈ high high + high low + low high.
struct Tf32x3 {
  static constexpr int kStep = 8;     // depth of a product of fragments
  static constexpr int kPadding = 8;  // of a row of B
};

template <int Rows, int Units>
struct Tile<Rows, Units, Tf32x3> {
  using Arithmetic = Tf32x3;
  static constexpr int kRows = Rows, kUnits = Units, kDepth = 32;
  static constexpr int kRowsAThread = 4, kUnitsAThread = 4;
  static constexpr int kWarpsAcross = Units / 16, kWarps = Rows / 32 * kWarpsAcross;
  static constexpr int kDown = Rows / 4, kAcross = Units / 4, kThreads = 32 * kWarps;

  __device__ static int warp_row() { return 32 * (warp_index() / kWarpsAcross); }
  __device__ static int warp_unit() { return 16 * (warp_index() % kWarpsAcross); }
  __device__ static int row(int i) { return warp_row() + lane_index() / 4 + 8 * i; }
  __device__ static int unit(int j) {
    return warp_unit() + 8 * (j / 2) + 2 * (lane_index() % 4) + j % 2;
  }
  __device__ static int part_down() { return 8 * (warp_index() / kWarpsAcross) + lane_index() / 4; }
  __device__ static int part_across() {
    return 4 * (warp_index() % kWarpsAcross) + lane_index() % 4;
  }
};

template <class Tile>
concept InTf32 = std::same_as<typename Tile::Arithmetic, Tf32x3>;

template <class Tile, int Channels>
requires InTf32<Tile>
struct ProductMemory<Tile, Channels> {
  alignas(16) float a[Channels][Tile::kRows][Tile::kDepth + 4];
  alignas(16) float b[Tile::kDepth][Tile::kUnits + Tf32x3::kPadding];

  __device__ float* scratch() { return &a[0][0][0]; }
};

namespace detail {

/// Element e of a chunk of A, by the order in which threads load it.
template <class Tile, Order order>
struct ChunkPlace {
  int row, k;
  __device__ explicit ChunkPlace(int e)
      : row(order == Order::AlongDepth ? e / Tile::kDepth : e % Tile::kRows),
        k(order == Order::AlongDepth ? e % Tile::kDepth : e / Tile::kRows) {}
};

/// Copies a chunk of A and B into shared memory, zeros beyond its end.
template <class Tile, int Channels, Order order, class LoadA, class LoadB>
__device__ __forceinline__ void stage(ProductMemory<Tile, Channels>& memory, int first, int used,
                                      const LoadA& load_a, const LoadB& load_b) {
#pragma unroll
  for (int channel = 0; channel < Channels; ++channel)
    for (int e = threadIdx.x; e < Tile::kRows * Tile::kDepth; e += Tile::kThreads) {
      const ChunkPlace<Tile, order> place(e);
      memory.a[channel][place.row][place.k] =
          place.k < used ? load_a(channel, place.row, first + place.k) : 0.f;
    }
  for (int e = threadIdx.x; e < Tile::kDepth * Tile::kUnits; e += Tile::kThreads) {
    const int u = e % Tile::kUnits, k = e / Tile::kUnits;
    memory.b[k][u] = k < used ? load_b(first + k, u) : 0.f;
  }
}

template <int Registers>
struct Pair {
  unsigned high[Registers], low[Registers];
};

__device__ __forceinline__ void split(float x, unsigned& high, unsigned& low) {
  high = round_tf32(x);
  low = round_tf32(x - __uint_as_float(high));
}

/// The sums of a chunk; [m][n] fragments of 16 × 8.
using Fragments = float[2][2][4];

/// Adds the chunk's products of one channel to `sums`.
template <class Tile, int Channels>
__device__ __forceinline__ void multiply_chunk(const ProductMemory<Tile, Channels>& memory,
                                               int channel, float (&sums)[4][4]) {
  const int g = lane_index() / 4, q = lane_index() % 4;
  const int row = Tile::warp_row() + g, unit = Tile::warp_unit() + g;
  Fragments high = {}, low = {};
#pragma unroll
  for (int k = q; k < Tile::kDepth; k += Tf32x3::kStep) {
    Pair<2> b[2];
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        split(memory.b[k + 4 * i][unit + 8 * n], b[n].high[i], b[n].low[i]);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      Pair<4> a;
#pragma unroll
      for (int i = 0; i < 4; ++i)
        split(memory.a[channel][row + 16 * m + 8 * (i % 2)][k + 4 * (i / 2)], a.high[i], a.low[i]);
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        mma_tf32(low[m][n], a.low, b[n].high);
        mma_tf32(low[m][n], a.high, b[n].low);
        mma_tf32(high[m][n], a.high, b[n].high);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int at = 2 * (i % 2) + j % 2;
      sums[i][j] += high[i / 2][j / 2][at] + low[i / 2][j / 2][at];
    }
}

}  // namespace detail

/// As its namesake of product.h.
template <class Tile, int Channels, Order order = Order::AlongDepth, class LoadA, class LoadB>
requires InTf32<Tile> __device__ void multiply_tile(ProductMemory<Tile, Channels>& memory,
                                                    int depth, const LoadA& load_a,
                                                    const LoadB& load_b,
                                                    Sums<Tile, Channels>& sums) {
  clear<Tile, Channels>(sums);
#pragma unroll 1
  for (int first = 0; first < depth; first += Tile::kDepth) {
    const int used = depth - first < Tile::kDepth ? depth - first : Tile::kDepth;
    __syncthreads();
    detail::stage<Tile, Channels, order>(memory, first, used, load_a, load_b);
    __syncthreads();
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel)
      detail::multiply_chunk(memory, channel, sums[channel]);
  }
}

}  // namespace ffjord::cuda
