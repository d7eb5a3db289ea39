// Products of float32 tiles on the tensor cores by float16: every operand is a sum of two halves,
// and the three products that matter are added up, small ones first. Half the bytes and twice the
// rate of TF32.
//
// A line of a chunk (32 deep, of a row of A or a unit of B) is scaled by itself (halves.h),
// whatever the other lines hold; beyond 10³² a sum may overflow. The cores cut what they add: a
// chunk is summed there, chunks in float32 by the ordinary adders.
//
// Entries are split once, on their way into shared memory. There an operand lies as core matrices:
// 8 lines × 8 of depth, 128 bytes one after the other, which both kinds of instruction read without
// a bank met twice:
//   Half3           warps multiply fragments of 16 × 8 (mma.sync), from compute capability 8.0 on;
//   WarpgroupHalf3  four warps multiply 64 rows × 32 units (wgmma), on compute capability 9.0. The
//                   next chunk is loaded while they do.
// Either way a warp owns 16 rows × 32 units: with g = lane / 4, q = lane % 4 a thread holds rows
// g + 8 i, i < 2, and units 8 (j / 2) + 2 q + j % 2, j < 8. The sums are the same but for how a
// card's instructions cut them. A tile of 64 × 64 and two channels takes 27.8 KiB of shared memory;
// in registers a thread has 32 sums, 32 of the chunk, 24 of the next chunk's entries, addresses. By
// ptxas for sm_90a, Half3 and WarpgroupHalf3: layer_forward 216 and 172, layer_backward 242 and
// 218, multiply_rows 122 and 78, outer_products 94 and 80 (158 and 122 of blend). FLOPs on the
// tensor cores: three times those of the product. Bytes: A once a kUnits of the product, B once a
// kRows.
#pragma once

#include <concepts>

#include "cuda/product/halves.h"
#include "cuda/product/product.h"

namespace ffjord::cuda {

struct Half3 {};
struct WarpgroupHalf3 {};

namespace detail {

template <int Rows, int Units>
struct HalfTile {
  static constexpr int kRows = Rows, kUnits = Units, kDepth = 32;
  static constexpr int kWarpUnits = 32, kFragments = kWarpUnits / 8;  // of 8 units
  static constexpr int kRowsAThread = 2, kUnitsAThread = 2 * kFragments;
  static constexpr int kWarpsDown = Rows / 16, kWarps = kWarpsDown * (Units / kWarpUnits);
  static constexpr int kDown = Rows / 2, kAcross = Units / kUnitsAThread, kThreads = 32 * kWarps;

  __device__ static int warp_row() { return 16 * (warp_index() % kWarpsDown); }
  __device__ static int warp_unit() { return kWarpUnits * (warp_index() / kWarpsDown); }
  __device__ static int row(int i) { return warp_row() + lane_index() / 4 + 8 * i; }
  __device__ static int unit(int j) {
    return warp_unit() + 8 * (j / 2) + 2 * (lane_index() % 4) + j % 2;
  }
  __device__ static int part_down() { return 8 * (warp_index() % kWarpsDown) + lane_index() / 4; }
  __device__ static int part_across() { return 4 * (warp_index() / kWarpsDown) + lane_index() % 4; }
};

}  // namespace detail

template <int Rows, int Units>
struct Tile<Rows, Units, Half3> : detail::HalfTile<Rows, Units> {
  using Arithmetic = Half3;
};
template <int Units>
struct Tile<64, Units, WarpgroupHalf3> : detail::HalfTile<64, Units> {
  using Arithmetic = WarpgroupHalf3;
};

template <class Tile>
concept InHalves = std::same_as<typename Tile::Arithmetic, Half3> ||
    std::same_as<typename Tile::Arithmetic, WarpgroupHalf3>;

namespace detail {

inline constexpr int kOctets = 4;  // of eight neighbours in depth, in a chunk

/// A chunk of an operand: halves [octet][line], and what its lines were scaled by.
template <int Lines>
struct HalfOperand {
  uint4 halves[2][kOctets][Lines];   // high parts, low parts
  unsigned largest[kOctets][Lines];  // bits of |x|
  float down[Lines];                 // undoes the scale
};

}  // namespace detail

template <class Tile, int Channels>
requires InHalves<Tile>
struct ProductMemory<Tile, Channels> {
  detail::HalfOperand<Tile::kRows> a[Channels];
  detail::HalfOperand<Tile::kUnits> b;

  __device__ float* scratch() { return reinterpret_cast<float*>(a); }
};

namespace detail {

/// Entry i of lane l becomes entry l of lane i, among eight neighbouring lanes.
__device__ __forceinline__ void transpose(float (&x)[8]) {
#pragma unroll
  for (int step = 4; step > 0; step /= 2) {
    const bool upper = lane_index() & step;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (i & step) continue;
      const float taken = __shfl_xor_sync(~0u, upper ? x[i] : x[i + step], step);
      (upper ? x[i] : x[i + step]) = taken;
    }
  }
}

/// The present thread's share of an operand's chunk: octets, whose loads may be under way.
template <int Lines, int Threads, Order order>
class OperandShare {
 public:
  /// `load(line, k)`, for k < depth.
  template <class Load>
  __device__ __forceinline__ void fetch(int first, int depth, const Load& load) {
#pragma unroll
    for (int s = 0; s < kShares; ++s)
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int line = along_depth ? line_of(s) - lane_index() % 8 + i : line_of(s);
        const int k = first + (along_depth ? lane_index() : 8 * octet_of(s) + i);
        values_[s][i] = k < depth ? load(line, k) : 0.f;
      }
  }

  __device__ __forceinline__ void publish_largest(HalfOperand<Lines>& memory) {
#pragma unroll
    for (int s = 0; s < kShares; ++s) {
      if constexpr (along_depth) transpose(values_[s]);
      unsigned largest = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) largest = max(largest, magnitude(values_[s][i]));
      memory.largest[octet_of(s)][line_of(s)] = largest;
    }
  }

  __device__ __forceinline__ void store(HalfOperand<Lines>& memory) const {
#pragma unroll
    for (int s = 0; s < kShares; ++s) {
      const int line = line_of(s), octet = octet_of(s);
      unsigned largest = 0;
#pragma unroll
      for (int o = 0; o < kOctets; ++o) largest = max(largest, memory.largest[o][line]);
      const int exponent = scale_exponent(largest);
      const float up = power_of_two(exponent);
      if (octet == 0) memory.down[line] = power_of_two(-exponent);
      split_octet(values_[s], up, memory.halves[kHigh][octet][line],
                  memory.halves[kLow][octet][line]);
    }
  }

 private:
  static constexpr bool along_depth = order == Order::AlongDepth;
  static constexpr int kShares = Lines * kOctets / Threads;
  static_assert(Lines * kOctets % Threads == 0);

  // Loads of a warp are neighbours in memory: 32 of depth of each of eight lines, which are then
  // transposed, or one entry of each of 32 lines. Eight lanes store a core matrix.
  __device__ static int line_of(int s) {
    const int e = threadIdx.x + s * Threads;
    return along_depth ? e / 32 * 8 + e % 8 : e % Lines;
  }
  __device__ static int octet_of(int s) {
    const int e = threadIdx.x + s * Threads;
    return along_depth ? e % 32 / 8 : e / Lines;
  }

  float values_[kShares][8];
};

/// The sums of a chunk, as fragments of 16 × 8.
template <class Tile, int Channels>
using ChunkSums = float[Channels][Tile::kFragments][4];

/// Calls each(part of A, part of B, first octet) for all products of fragments, small ones first.
template <class Each>
__device__ __forceinline__ void each_product(const Each& each) {
  constexpr Part parts[3][2] = {{kLow, kHigh}, {kHigh, kLow}, {kHigh, kHigh}};
#pragma unroll
  for (int product = 0; product < 3; ++product)
#pragma unroll
    for (int octet = 0; octet < kOctets; octet += 2)
      each(parts[product][0], parts[product][1], octet);
}

// A chunk's products are put under way by start, which may leave it all to finish.

template <class Tile, int Channels>
__device__ __forceinline__ void start(Half3, const ProductMemory<Tile, Channels>&,
                                      ChunkSums<Tile, Channels>&) {}

template <class Tile, int Channels>
__device__ __forceinline__ void finish(Half3, const ProductMemory<Tile, Channels>& memory,
                                       ChunkSums<Tile, Channels>& chunk) {
  const int lane = lane_index(), row = Tile::warp_row() + lane % 16;
  const int unit = Tile::warp_unit() + lane / 16 * 8 + lane % 8;
  each_product([&](Part part_a, Part part_b, int octet) {
    unsigned b[Tile::kFragments / 2][4];
#pragma unroll
    for (int n = 0; n < Tile::kFragments / 2; ++n)
      load_matrix_x4(b[n], &memory.b.halves[part_b][octet + lane / 8 % 2][unit + 16 * n]);
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel) {
      unsigned a[4];
      load_matrix_x4(a, &memory.a[channel].halves[part_a][octet + lane / 16][row]);
#pragma unroll
      for (int n = 0; n < Tile::kFragments; ++n)
        mma_f16(chunk[channel][n], a, {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]});
    }
  });
}

template <class Tile, int Channels>
__device__ __forceinline__ void start(WarpgroupHalf3, const ProductMemory<Tile, Channels>& memory,
                                      ChunkSums<Tile, Channels>& chunk) {
  constexpr int core_matrix = 8 * sizeof(uint4);
  constexpr int octet_of_a = Tile::kRows * sizeof(uint4), octet_of_b = Tile::kUnits * sizeof(uint4);
  begin_products(chunk);
  each_product([&](Part part_a, Part part_b, int octet) {
    const auto b = matrix_descriptor(&memory.b.halves[part_b][octet][Tile::warp_unit()], octet_of_b,
                                     core_matrix);
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel)
      multiply_async(
          chunk[channel],
          matrix_descriptor(memory.a[channel].halves[part_a][octet], octet_of_a, core_matrix), b);
  });
  commit_products();
}

template <class Tile, int Channels>
__device__ __forceinline__ void finish(WarpgroupHalf3, const ProductMemory<Tile, Channels>&,
                                       ChunkSums<Tile, Channels>& chunk) {
  wait_for_products(chunk);
}

/// sums += chunk, its lines' scales undone.
template <class Tile, int Channels>
__device__ __forceinline__ void promote(const ProductMemory<Tile, Channels>& memory,
                                        const ChunkSums<Tile, Channels>& chunk,
                                        Sums<Tile, Channels>& sums) {
#pragma unroll
  for (int j = 0; j < Tile::kUnitsAThread; ++j) {
    const float down = memory.b.down[Tile::unit(j)];
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        sums[channel][i][j] =
            fmaf(chunk[channel][j / 2][2 * i + j % 2] * memory.a[channel].down[Tile::row(i)], down,
                 sums[channel][i][j]);
  }
}

}  // namespace detail

/// Does what its namesake of product.h does.
template <class Tile, int Channels, Order order = Order::AlongDepth, class LoadA, class LoadB>
requires InHalves<Tile> __device__ void multiply_tile(ProductMemory<Tile, Channels>& memory,
                                                      int depth, const LoadA& load_a,
                                                      const LoadB& load_b,
                                                      Sums<Tile, Channels>& sums) {
  using Arithmetic = typename Tile::Arithmetic;
  detail::OperandShare<Tile::kRows, Tile::kThreads, order> a[Channels];
  detail::OperandShare<Tile::kUnits, Tile::kThreads, Order::AlongRows> b;
  const auto fetch = [&](int first) {
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel)
      a[channel].fetch(first, depth, [&](int row, int k) { return load_a(channel, row, k); });
    b.fetch(first, depth, [&](int unit, int k) { return load_b(k, unit); });
  };
  clear<Tile, Channels>(sums);
  fetch(0);
#pragma unroll 1
  for (int first = 0; first < depth; first += Tile::kDepth) {
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel)
      a[channel].publish_largest(memory.a[channel]);
    b.publish_largest(memory.b);
    __syncthreads();  // after which nobody multiplies the chunk before
#pragma unroll
    for (int channel = 0; channel < Channels; ++channel) a[channel].store(memory.a[channel]);
    b.store(memory.b);
    if constexpr (std::same_as<Arithmetic, WarpgroupHalf3>) show_to_products();
    __syncthreads();
    detail::ChunkSums<Tile, Channels> chunk = {};
    detail::start<Tile, Channels>(Arithmetic{}, memory, chunk);
    if (first + Tile::kDepth < depth) fetch(first + Tile::kDepth);
    detail::finish<Tile, Channels>(Arithmetic{}, memory, chunk);
    detail::promote<Tile, Channels>(memory, chunk, sums);
  }
}

}  // namespace ffjord::cuda
