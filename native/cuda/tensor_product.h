// Products of float32 tiles on the tensor cores: every operand is a sum of two narrow numbers, and
// the three products that matter are added up. The cores cut what they add, so that a long sum
// drifts: a chunk of kDepth is summed there, chunks in float32 by the ordinary adders.
//
// A warp owns 32 rows × 16 units as 2 × 2 fragments of 16 × 8; with g = lane / 4, q = lane % 4 a
// thread holds rows g + 8 i and units 8 (j / 2) + 2 q + j % 2, i, j < 4. Shared memory holds a
// chunk of A by rows and of B by depth, padded so that the lanes of a fragment meet no bank twice.
// Worth its while, and as accurate as float32, from a depth of kDepth on. Registers at Channels =
// 2: 32 sums, 32 of the chunk, 24 of fragments, addresses.
#pragma once

#include "cuda/intrinsics.h"
#include "cuda/product.h"

namespace ffjord::cuda {

/// x ≈ high + low, both TF32 (11 significant bits); a b ≈ high high + high low + low high.
struct Tf32x3 {
  static constexpr int kStep = 8;     // depth of a product of fragments
  static constexpr int kPadding = 8;  // of a row of B
  static constexpr bool kScaled = false;
};

/// x ≈ high + low 2⁻¹¹, both float16 (11 significant bits), half the bytes and twice the rate of
/// TF32. A half ends at 65504 and thins out below 2⁻¹⁴: a chunk is scaled by powers of two so that
/// its largest entry of A, and of B, lies in [2¹⁰, 2¹¹). The products of low parts, which are 2¹¹
/// too large, have sums of their own.
struct Half3 {
  static constexpr int kStep = 16;
  static constexpr int kPadding = 4;
  static constexpr bool kScaled = true;
  static constexpr float kLowScale = 2048.f;
};

namespace detail {

/// Which warp of a tile a thread belongs to, and which rows and units are its own.
template <int Rows, int Units>
struct TensorTile {
  static constexpr int kRows = Rows, kUnits = Units, kDepth = 32;
  static constexpr int kWarpsAcross = Units / 16, kWarps = Rows / 32 * kWarpsAcross;
  static constexpr int kAcross = Units / 4, kThreads = 32 * kWarps;

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

}  // namespace detail

template <int Rows, int Units>
struct Tile<Rows, Units, Tf32x3> : detail::TensorTile<Rows, Units> {
  using Arithmetic = Tf32x3;
};
template <int Rows, int Units>
struct Tile<Rows, Units, Half3> : detail::TensorTile<Rows, Units> {
  using Arithmetic = Half3;
};

template <class Tile>
concept OnTensorCores = requires {
  Tile::Arithmetic::kStep;
};

template <class Tile, int Channels>
requires OnTensorCores<Tile>
struct ProductMemory<Tile, Channels> {
  alignas(16) float a[Channels][Tile::kRows][Tile::kDepth + 4];
  alignas(16) float b[Tile::kDepth][Tile::kUnits + Tile::Arithmetic::kPadding];
  unsigned largest[Channels + 1][Tile::kWarps];  // bits of |x|, of what a warp loaded; B is last
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

/// A power of two and its inverse.
struct Scale {
  float up = 1.f, down = 1.f;
};

/// Brings the largest of a chunk into [2¹⁰, 2¹¹); of nothing but zeros, or of what is not
/// finite, 1.
template <int Warps>
__device__ __forceinline__ Scale scale_of(const unsigned (&largest)[Warps]) {
  unsigned bits = 0;
#pragma unroll
  for (int warp = 0; warp < Warps; ++warp) bits = max(bits, largest[warp]);
  const int exponent = static_cast<int>(bits >> 23);
  if (bits == 0 || exponent == 255) return {};
  const int up = min(264 - exponent, 253);  // 127 + (10 − (exponent − 127)), its inverse normal
  return {__uint_as_float(static_cast<unsigned>(up) << 23),
          __uint_as_float(static_cast<unsigned>(254 - up) << 23)};
}

__device__ __forceinline__ unsigned magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }

__device__ __forceinline__ unsigned largest_of_warp(unsigned bits) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) bits = max(bits, __shfl_xor_sync(~0u, bits, step));
  return bits;
}

/// Copies a chunk of A and B into shared memory, zeros beyond its end.
template <class Tile, int Channels, Order order, class LoadA, class LoadB>
__device__ __forceinline__ void stage(ProductMemory<Tile, Channels>& memory, int first, int used,
                                      const LoadA& load_a, const LoadB& load_b) {
  constexpr bool scaled = Tile::Arithmetic::kScaled;
#pragma unroll
  for (int channel = 0; channel < Channels; ++channel) {
    unsigned largest = 0;
    for (int e = threadIdx.x; e < Tile::kRows * Tile::kDepth; e += Tile::kThreads) {
      const ChunkPlace<Tile, order> place(e);
      const float value = place.k < used ? load_a(channel, place.row, first + place.k) : 0.f;
      memory.a[channel][place.row][place.k] = value;
      if constexpr (scaled) largest = max(largest, magnitude(value));
    }
    if constexpr (scaled) memory.largest[channel][warp_index()] = largest_of_warp(largest);
  }
  unsigned largest = 0;
  for (int e = threadIdx.x; e < Tile::kDepth * Tile::kUnits; e += Tile::kThreads) {
    const int u = e % Tile::kUnits, k = e / Tile::kUnits;
    const float value = k < used ? load_b(first + k, u) : 0.f;
    memory.b[k][u] = value;
    if constexpr (scaled) largest = max(largest, magnitude(value));
  }
  if constexpr (scaled) memory.largest[Channels][warp_index()] = largest_of_warp(largest);
}

template <int Registers>
struct Pair {
  unsigned high[Registers], low[Registers];
};

__device__ __forceinline__ void split(float x, unsigned& high, unsigned& low) {
  high = round_tf32(x);
  low = round_tf32(x - __uint_as_float(high));
}

/// Two neighbours in depth, in one register.
__device__ __forceinline__ void split(float x, float y, float scale, unsigned& high,
                                      unsigned& low) {
  x *= scale;
  y *= scale;
  high = pack_half2(x, y);
  const float2 rounded = unpack_half2(high);
  low = pack_half2((x - rounded.x) * Half3::kLowScale, (y - rounded.y) * Half3::kLowScale);
}

/// The sums of a chunk; [m][n] fragments of 16 × 8.
using Fragments = float[2][2][4];

/// Adds the chunk's products of one channel to `sums`.
template <class Tile, int Channels>
__device__ __forceinline__ void multiply_chunk(Tf32x3, const ProductMemory<Tile, Channels>& memory,
                                               int channel, float (&sums)[4][4]) {
  const int g = lane_index() / 4, q = lane_index() % 4;
  const int row = Tile::warp_row() + g, unit = Tile::warp_unit() + g;
  Fragments chunk = {};
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
        mma_tf32(chunk[m][n], a.low, b[n].high);
        mma_tf32(chunk[m][n], a.high, b[n].low);
        mma_tf32(chunk[m][n], a.high, b[n].high);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sums[i][j] += chunk[i / 2][j / 2][2 * (i % 2) + j % 2];
}

template <class Tile, int Channels>
__device__ __forceinline__ void multiply_chunk(Half3, const ProductMemory<Tile, Channels>& memory,
                                               int channel, float (&sums)[4][4]) {
  const int g = lane_index() / 4, q = lane_index() % 4;
  const int row = Tile::warp_row() + g, unit = Tile::warp_unit() + g;
  const Scale scale_a = scale_of(memory.largest[channel]);
  const Scale scale_b = scale_of(memory.largest[Channels]);
  Fragments high = {}, low = {};
#pragma unroll
  for (int k = 2 * q; k < Tile::kDepth; k += Half3::kStep) {
    Pair<2> b[2];
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        split(memory.b[k + 8 * i][unit + 8 * n], memory.b[k + 8 * i + 1][unit + 8 * n], scale_b.up,
              b[n].high[i], b[n].low[i]);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      Pair<4> a;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float2 pair = *reinterpret_cast<const float2*>(
            &memory.a[channel][row + 16 * m + 8 * (i % 2)][k + 8 * (i / 2)]);
        split(pair.x, pair.y, scale_a.up, a.high[i], a.low[i]);
      }
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        mma_f16(low[m][n], a.low, b[n].high);
        mma_f16(low[m][n], a.high, b[n].low);
        mma_f16(high[m][n], a.high, b[n].high);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int at = 2 * (i % 2) + j % 2;
      const float sum = fmaf(low[i / 2][j / 2][at], 1.f / Half3::kLowScale, high[i / 2][j / 2][at]);
      sums[i][j] = fmaf(sum * scale_a.down, scale_b.down, sums[i][j]);
    }
}

}  // namespace detail

/// As its namesake of product.h.
template <class Tile, int Channels, Order order = Order::AlongDepth, class LoadA, class LoadB>
requires OnTensorCores<Tile> __device__ void multiply_tile(ProductMemory<Tile, Channels>& memory,
                                                           int depth, const LoadA& load_a,
                                                           const LoadB& load_b,
                                                           Sums<Channels>& sums) {
#pragma unroll
  for (int channel = 0; channel < Channels; ++channel)
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[channel][i][j] = 0.f;
#pragma unroll 1
  for (int first = 0; first < depth; first += Tile::kDepth) {
    const int used = depth - first < Tile::kDepth ? depth - first : Tile::kDepth;
    __syncthreads();
    detail::stage<Tile, Channels, order>(memory, first, used, load_a, load_b);
    __syncthreads();
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel)
      detail::multiply_chunk(typename Tile::Arithmetic{}, memory, channel, sums[channel]);
  }
}

}  // namespace ffjord::cuda
