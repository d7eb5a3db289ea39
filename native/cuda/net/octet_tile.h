// What layers do around products of prepared operands: a tile of 64 rows × `Units` units of two
// channels is made by a block, or by several, each of a slice of the depth, as few units fill no
// card; and what a layer makes of it is split for the next.
#pragma once

#include "cuda/product/octet_product.h"
#include "cuda/product/products.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// Channels of rows that step together, times lines.
struct OctetFactors {
  OctetRows rows;
  OctetLines lines;
};

/// Parts of a product, (slices, channels, padded rows, padded units).
struct OctetSlices {
  float* data = nullptr;
  int count = 1, channels = 1, rows = 0, units = 0;
  int slabs = 0;  ///< of a slice

  __device__ float& at(int slice, int channel, int row, int unit) const {
    return data[(std::size_t(slice * channels + channel) * rows + row) * units + unit];
  }
  std::size_t floats() const { return std::size_t(count) * channels * rows * units; }
};

/// How a product of some channels of so many rows is cut, whatever the batch.
inline OctetSlices slices_of(const OctetLines& lines, int batch, int channels) {
  // A slice of fewer chunks is not worth a block; for some thousand rows a card of 132
  // multiprocessors wants about eight tiles of units × slices.
  constexpr int least_chunks = 2, columns = 8;
  const int chunks = tiles_of(lines.depth, kScaleDepth);
  OctetSlices s;
  const int most = columns / lines.tiles(), wanted = tiles_of(chunks, least_chunks);
  s.slabs = 2 * tiles_of(chunks, most < 1 ? 1 : wanted < most ? wanted : most);
  s.count = tiles_of(lines.slab_count(), s.slabs);
  s.channels = channels;
  s.rows = tiles_of(batch, kTileRows) * kTileRows;
  s.units = lines.padded();
  return s;
}

namespace detail {

template <class Arithmetic, int Units>
__device__ __forceinline__ void multiply_tile_of(const OctetFactors& s, int channel, bool both,
                                                 int first, int slabs,
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
       slabs},
      sums);
  place_sums<Units>(sums, memory.tile);
}

}  // namespace detail

/// Fills a tile by products over the whole depth.
template <class Arithmetic, int Units>
struct FillByProducts {
  const OctetFactors& factors;
  OctetMemory<Arithmetic, Units>& memory;

  __device__ __forceinline__ void operator()(int channel, bool both) const {
    detail::multiply_tile_of<Arithmetic, Units>(factors, channel, both, 0,
                                                factors.rows.slab_count(), memory);
  }
};

/// Fills a tile by what its slices have left.
template <int Units>
struct FillBySlices {
  const OctetSlices& from;
  OctetTile<Units>& tile;

  __device__ __forceinline__ void operator()(int channel, bool both) const {
    for (int i = 0; i <= both; ++i)
      for (int e = threadIdx.x; e < kTileRows * Units; e += kOctetThreads) {
        const int row = blockIdx.x * kTileRows + e / Units, unit = blockIdx.y * Units + e % Units;
        float sum = 0.f;
        for (int slice = 0; slice < from.count; ++slice)
          sum += from.at(slice, channel + i, row, unit);
        tile[i][e / Units][e % Units] = sum;
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
  int batch = 0;
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
