// What layers do around products of prepared operands: a tile of 64 lines × `Units` units of two
// channels is made by a block, or by several, each of a slice of the depth, as few units fill no
// card; and what a layer makes of it is split for the next.
//
// Of a convolution with few units the taps are units of a product over the channels alone, and what
// they leave at the lines around a row is added up behind it: depth is read once in place of once a
// tap, and a tile is filled nine times better.
#pragma once

#include "cuda/product/octet_product.h"
#include "cuda/product/products.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// Channels of rows that step together, times lines.
struct OctetFactors {
  OctetRows rows;
  OctetLines lines;
  OctetTaps taps;
  int tap_units = 0;  ///< of each tap, one after the other in `lines`; 0: taps are of the depth

  /// Of what the product leaves.
  __host__ __device__ int units() const { return tap_units > 0 ? tap_units : lines.lines; }
  /// Undoes the scale of a unit, where that is left to do.
  __device__ float down_of(int unit) const {
    return tap_units > 0 || !lines.down ? 1.f : lines.down[unit];
  }
};

/// The most units of a convolution whose taps are units.
inline constexpr int kMostTapUnits = 16;

/// Parts of a product, (slices, channels, padded lines, units).
struct OctetSlices {
  float* data = nullptr;
  int count = 1, channels = 1, lines = 0, units = 0;
  int slabs = 0;  ///< of a slice

  __device__ float& at(int slice, int channel, int line, int unit) const {
    return data[(std::size_t(slice * channels + channel) * lines + line) * units + unit];
  }
  std::size_t floats() const { return std::size_t(count) * channels * lines * units; }
};

/// How a product of some channels of so many lines is cut, whatever the batch.
inline OctetSlices slices_of(const OctetLines& weights, const RowLines& rows, int channels) {
  // A slice of fewer chunks is not worth a block; for some thousand rows a card of 132
  // multiprocessors wants about eight tiles of units × slices. Taps of images fill it by
  // themselves.
  constexpr int least_chunks = 2, columns = 8;
  const int chunks = tiles_of(weights.depth, kScaleDepth);
  OctetSlices s;
  const int most = columns / weights.tiles(), wanted = tiles_of(chunks, least_chunks);
  const int count = weights.taps > 1 || most < 1 ? 1 : wanted < most ? wanted : most;
  s.slabs = 2 * tiles_of(chunks, count);
  s.count = tiles_of(weights.slab_count() / weights.taps, s.slabs);
  s.channels = channels;
  s.lines = rows.tiles() * kTileRows;
  s.units = weights.lines;
  return s;
}

namespace detail {

template <class Arithmetic, int Units>
__device__ __forceinline__ void multiply_tile_of(const OctetFactors& s, const OctetTaps& taps,
                                                 int channel, bool both, int first, int slabs,
                                                 OctetMemory<Arithmetic, Units>& memory) {
  const int tile = blockIdx.x, second = channel + both;
  const int chunk = first * kSlabDepth / kScaleDepth;
  OctetSums<Units> sums;
  multiply_octets<Arithmetic, Units>(
      memory,
      {{s.rows.slab(tile, channel, first), s.rows.slab(tile, second, first)},
       {s.rows.down_of(tile, channel, chunk), s.rows.down_of(tile, second, chunk)},
       s.lines.slab(blockIdx.y, first),
       both,
       slabs,
       OctetSteps::of(s.rows.lines.plane()),
       taps},
      sums);
  place_sums<Units>(sums, memory.tile);
}

}  // namespace detail

/// Rows of the batch that a tile's lines are; −1: none.
using LineRows = int[kTileRows];

/// All threads take part.
__device__ __forceinline__ void set_line_rows(const RowLines& lines, LineRows& rows) {
  if (threadIdx.x < kTileRows) rows[threadIdx.x] = lines.row(blockIdx.x * kTileRows + threadIdx.x);
  __syncthreads();
}

/// Fills a tile by products over the whole depth.
template <class Arithmetic, int Units>
struct FillByProducts {
  const OctetFactors& factors;
  OctetMemory<Arithmetic, Units>& memory;

  __device__ __forceinline__ void operator()(int channel, bool both) const {
    detail::multiply_tile_of<Arithmetic, Units>(factors, factors.taps, channel, both, 0,
                                                factors.rows.slab_count(), memory);
  }
};

/// What the slices of a product have left of an entry, added up.
__device__ __forceinline__ float sum_slices(const OctetFactors& s, const OctetSlices& from,
                                            int channel, int line, int unit) {
  float sum = 0.f;
#pragma unroll 1
  for (int slice = 0; slice < from.count; ++slice) {
    if (s.tap_units == 0) {
      sum += from.at(slice, channel, line, unit);
      continue;
    }
    int at = line;
#pragma unroll
    for (int tap = 0; tap < OctetTaps::kMost; ++tap) {
      at += s.taps.moves[tap];
      const int number = tap * s.tap_units + unit;
      sum = fmaf(from.at(slice, channel, at, number), s.lines.down[number], sum);
    }
  }
  return sum;
}

/// Fills a tile by what slices have left.
template <int Units>
struct FillBySlices {
  const OctetFactors& factors;
  const OctetSlices& from;
  const LineRows& rows;
  OctetTile<Units>& tile;

  __device__ __forceinline__ void operator()(int channel, bool both) const {
    const int unit = threadIdx.x % Units, at = blockIdx.y * Units + unit;
    if (at >= factors.units()) return;
#pragma unroll 1
    for (int line = threadIdx.x / Units; line < kTileRows; line += kOctetThreads / Units) {
      if (rows[line] < 0) continue;
      const int first = blockIdx.x * kTileRows;
      tile[0][line][unit] = sum_slices(factors, from, channel, first + line, at);
      if (both) tile[1][line][unit] = sum_slices(factors, from, channel + 1, first + line, at);
    }
  }
};

/// Splits channel i of a tile as that channel of `to`; all threads take part.
template <int Units>
__device__ __forceinline__ void split_tile(const OctetTile<Units>& tile, int i, const OctetRows& to,
                                           int channel) {
  constexpr int octets = Units / 8, rows = kOctetThreads / octets;
  const int octet = threadIdx.x % octets;
  const int chunk = blockIdx.y * (Units / kScaleDepth) + octet / kScaleOctets;
  for (int r = threadIdx.x / octets; r < kTileRows; r += rows) {
    const float4* const from = reinterpret_cast<const float4*>(&tile[i][r][8 * octet]);
    const float4 low = from[0], high = from[1];
    const float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    to.store(blockIdx.x, channel, chunk, r, x);
  }
}

/// C = α A B (+ C) of the first channel alone.
struct OctetMultiply {
  Groups groups;
  int batch = 0;  ///< rows
  OctetFactors factors;
  float* slices = nullptr;  ///< of slices_of the factors
  float* c = nullptr;       ///< (B, c_stride), the first columns
  int c_stride = 0;
  float alpha = 1;
  bool adds = false;
};
void multiply(const OctetMultiply& arguments, const Stream& stream);

/// Fills the slices.
void multiply_slices(const OctetFactors& factors, const OctetSlices& slices, const Groups& groups,
                     const Stream& stream);

/// start(arithmetic) with that of the stream's card.
template <class Start>
void with_octet_arithmetic(const Stream& stream, const Start& start) {
  chosen_products(stream.options()) == Products::WarpgroupHalf3 ? start(WarpgroupHalf3())
                                                                : start(Half3());
}

}  // namespace ffjord::cuda
