// C (rows, units) = A (rows, depth) B (depth, units) for one tile of C, in float32 on the ordinary
// multipliers: the arithmetic that others are measured against.
//
// A thread sums 4 × 4 entries of each of `Channels` products that share B (a value and its
// tangent). Shared memory holds kDepth columns of A, transposed, and kDepth rows of B: a step of
// the inner loop reads Channels + 1 vectors of four for 16 Channels multiply-adds. Registers: 16
// Channels sums + 4 (Channels + 1) operands + addresses: about 80 at Channels = 2.
#pragma once

#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

/// Products in float32, added up one after the other.
struct Float32 {};

/// Rows and units of a tile, and those among them that a thread holds: kRowsAThread ×
/// kUnitsAThread entries, placed as the arithmetic has it.
template <int Rows, int Units, class ProductArithmetic = Float32>
struct Tile {
  using Arithmetic = ProductArithmetic;
  static constexpr int kRows = Rows, kUnits = Units, kDepth = 32;
  static constexpr int kRowsAThread = 4, kUnitsAThread = 4;
  static constexpr int kDown = Rows / 4, kAcross = Units / 4, kThreads = kDown * kAcross;

  /// Where the present thread's entry (i, j) lies within the tile.
  __device__ static int row(int i) { return 4 * (threadIdx.x / kAcross) + i; }
  __device__ static int unit(int j) { return 4 * (threadIdx.x % kAcross) + j; }
  /// The present thread's number among those that hold rows of the same units, and units of the
  /// same rows.
  __device__ static int part_down() { return threadIdx.x / kAcross; }
  __device__ static int part_across() { return threadIdx.x % kAcross; }
};

using LargeTile = Tile<64, 64>;
/// The tile of batches that step tile by tile, and of small nets.
using SmallTile = Tile<32, 32>;

template <class Tile, int Channels>
struct ProductMemory {
  static constexpr int kPadded =
      Tile::kRows + 4;  // so that a transposing store meets few conflicts
  alignas(16) float a[Channels][Tile::kDepth][kPadded];
  alignas(16) float b[Tile::kDepth][Tile::kUnits];

  /// Room for sums over what the threads hold, between products: of kDown × kUnits, or kRows ×
  /// kAcross.
  __device__ float* scratch() { return &a[0][0][0]; }
};

/// What a thread holds of a tile.
template <class Tile>
using Entries = float[Tile::kRowsAThread][Tile::kUnitsAThread];
template <class Tile, int Channels>
using Sums = float[Channels][Tile::kRowsAThread][Tile::kUnitsAThread];

template <class Tile, int Channels>
__device__ __forceinline__ void clear(Sums<Tile, Channels>& sums) {
#pragma unroll
  for (int channel = 0; channel < Channels; ++channel)
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) sums[channel][i][j] = 0.f;
}

/// The order in which neighbouring threads load A: as it lies in memory.
enum class Order { AlongDepth, AlongRows };

/// `load_a(channel, row, k)` and `load_b(k, unit)` give entries of the tile, zero beyond its edges;
/// they are called for k < depth alone. All threads of the block take part.
template <class Tile, int Channels, Order order = Order::AlongDepth, class LoadA, class LoadB>
__device__ void multiply_tile(ProductMemory<Tile, Channels>& memory, int depth, const LoadA& load_a,
                              const LoadB& load_b, Sums<Tile, Channels>& sums) {
  clear<Tile, Channels>(sums);
  const int row = Tile::row(0), unit = Tile::unit(0);
  for (int first = 0; first < depth; first += Tile::kDepth) {
    const int used = depth - first < Tile::kDepth ? depth - first : Tile::kDepth;
    __syncthreads();
    for (int channel = 0; channel < Channels; ++channel)
      for (int e = threadIdx.x; e < Tile::kRows * Tile::kDepth; e += Tile::kThreads) {
        const int k = order == Order::AlongDepth ? e % Tile::kDepth : e / Tile::kRows;
        const int r = order == Order::AlongDepth ? e / Tile::kDepth : e % Tile::kRows;
        if (k < used) memory.a[channel][k][r] = load_a(channel, r, first + k);
      }
    for (int e = threadIdx.x; e < Tile::kDepth * Tile::kUnits; e += Tile::kThreads) {
      const int u = e % Tile::kUnits, k = e / Tile::kUnits;
      if (k < used) memory.b[k][u] = load_b(first + k, u);
    }
    __syncthreads();
    for (int k = 0; k < used; ++k) {
      const float4 b = *reinterpret_cast<const float4*>(&memory.b[k][unit]);
#pragma unroll
      for (int channel = 0; channel < Channels; ++channel) {
        const float4 a = *reinterpret_cast<const float4*>(&memory.a[channel][k][row]);
        const float rows[4] = {a.x, a.y, a.z, a.w}, units[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j)
            sums[channel][i][j] = fmaf(rows[i], units[j], sums[channel][i][j]);
      }
    }
  }
}

}  // namespace ffjord::cuda
