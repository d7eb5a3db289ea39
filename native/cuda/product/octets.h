// Operands of large products as halves (halves.h), split once where they are made and not where
// they are read: what a layer leaves to the next, weights after a step of the optimizer.
//
// A slab is some lines (rows of A, units of B) × 32 of depth as [part][octet][line]: an octet is
// eight neighbours in depth of a line, 16 bytes; eight lines of it are a core matrix, which both
// kinds of instruction of half_product.h read as it lies. Slabs follow each other in the order in
// which a block reads them. Those of units are cut into tiles of lines; those of rows are not, so
// that a block may begin to read at any line: a tap of a convolution is so many lines further on
// (row_lines.h). All are padded with zeros, so that nobody tests an edge.
//
// Scales can be undone behind a product only where they do not vary along what it sums: rows have
// one for each 64 of depth, which is what a tile that makes them sees at once, and units of weights
// one for all. What is summed over rows has a scale for each unit and 64 rows.
#pragma once

#include <cstddef>

#include "cuda/product/halves.h"
#include "cuda/product/row_lines.h"

namespace ffjord::cuda {

inline constexpr int kSlabDepth = 32, kSlabOctets = kSlabDepth / 8;
inline constexpr int kScaleDepth = 64;  ///< what shares a scale of a row
inline constexpr int kScaleOctets = kScaleDepth / 8;

/// Octets of a slab.
__host__ __device__ constexpr int slab_octets(int lines) { return 2 * kSlabOctets * lines; }

/// Rows (channels, B, depth) of values and tangents, or of their cotangents.
struct OctetRows {
  uint4* slabs = nullptr;  ///< [channel][slab][part][octet][line]
  float* down = nullptr;   ///< undoes the scales: [channel][chunk of 64][line]
  int channels = 1, depth = 0;
  RowLines lines;

  __host__ __device__ int slab_count() const { return tiles_of(depth, kSlabDepth); }
  __host__ __device__ int chunk_count() const { return tiles_of(depth, kScaleDepth); }
  __device__ uint4* slab(int row_tile, int channel, int number) const {
    return slabs + std::size_t(channel * slab_count() + number) * slab_octets(lines.plane()) +
           first_of(row_tile);
  }
  __device__ float* down_of(int row_tile, int channel, int chunk) const {
    return down + std::size_t(channel * chunk_count() + chunk) * lines.plane() + first_of(row_tile);
  }

  /// Stores an octet of a line. The eight lanes from a multiple of eight on hold those of a chunk,
  /// in order.
  __device__ void store(int row_tile, int channel, int chunk, int line, const float (&x)[8]) const {
    unsigned largest = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) largest = max(largest, magnitude(x[i]));
#pragma unroll
    for (int step = 1; step < kScaleOctets; step *= 2)
      largest = max(largest, __shfl_xor_sync(~0u, largest, step));
    const int exponent = scale_exponent(largest), octet = lane_index() % kScaleOctets;
    const int number = 2 * chunk + octet / kSlabOctets;
    if (number >= slab_count()) return;
    if (octet == 0) down_of(row_tile, channel, chunk)[line] = power_of_two(-exponent);
    uint4 high, low;
    split_octet(x, power_of_two(exponent), high, low);
    uint4* const at = slab(row_tile, channel, number) + octet % kSlabOctets * lines.plane() + line;
    at[0] = high;
    at[kSlabOctets * lines.plane()] = low;
  }

 private:
  __device__ int first_of(int row_tile) const { return lines.margin() + row_tile * kTileRows; }
};

/// Room for rows: octets, and scales.
inline std::size_t octets_of_rows(const RowLines& lines, int channels, int depth) {
  return std::size_t(channels) * tiles_of(depth, kSlabDepth) * slab_octets(lines.plane());
}
inline std::size_t scales_of_rows(const RowLines& lines, int channels, int depth) {
  return std::size_t(channels) * tiles_of(depth, kScaleDepth) * lines.plane();
}

/// Lines × depth, in tiles of as many lines as a block multiplies: weights, and what is summed over
/// rows.
struct OctetLines {
  uint4* slabs = nullptr;  ///< [tile][slab]; null: there are none
  float* down = nullptr;   ///< [lines, padded to tiles], or [tile][chunk][line]
  int lines = 0, depth = 0;
  int most = 128;  ///< lines of a tile
  int taps = 1;    ///< each of so much depth, one after the other

  __host__ __device__ int tile() const { return lines > 64 ? most : 64; }
  __host__ __device__ int tiles() const { return tiles_of(lines, tile()); }
  __host__ __device__ int padded() const { return tiles() * tile(); }
  __host__ __device__ int slab_count() const { return taps * tiles_of(depth, kSlabDepth); }
  __host__ __device__ std::size_t octets() const {
    return std::size_t(tiles()) * slab_count() * slab_octets(tile());
  }
  __device__ uint4* slab(int tile_number, int number) const {
    return slabs + (std::size_t(tile_number) * slab_count() + number) * slab_octets(tile());
  }
};

}  // namespace ffjord::cuda
