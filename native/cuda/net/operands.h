// The operands of a net's products, as multiply_tile loads them: where a geometry lies in memory is
// known here and nowhere else.
#pragma once

#include <cstddef>

#include "cuda/net/taps.h"
#include "cuda/product/product.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// Values and tangents of the rows of a batch, (a, t a) where a layer is expanded. Channel 0 is the
/// value, channel k + 1 tangent k.
struct RowChannels {
  const float* value;  ///< (B, value_stride), of which the first `width` columns
  int value_stride;
  const float* tangents;  ///< (K, B, width)
  int batch, width;
  const float* time;  ///< [groups], where expanded
  int group_rows;     ///< of a group

  /// a alone. With the branch of `operator()`, which then never takes its second way, ptxas puts
  /// the products of warpgroups one after the other.
  __device__ float plain(int channel, int row, int k) const {
    return channel == 0 ? value[std::size_t(row) * value_stride + k]
                        : tangents[(std::size_t(channel - 1) * batch + row) * width + k];
  }
  __device__ float operator()(int channel, int row, int k) const {
    const int column = k < width ? k : k - width;
    const float* from = channel == 0 ? value + std::size_t(row) * value_stride
                                     : tangents + (std::size_t(channel - 1) * batch + row) * width;
    return k < width ? from[column] : time[row / group_rows] * from[column];
  }
};

/// A of a tile whose rows are those at the batch's places from `first_place` on, of the channels
/// from `first_channel` to `last_channel`; zero beyond both.
struct TileOfRows {
  RowChannels rows;
  Groups groups;
  int first_place, first_channel, last_channel;

  __device__ float operator()(int channel, int r, int k) const {
    const int place = first_place + r, c = first_channel + channel;
    if (place >= rows.batch || c > last_channel) return 0.f;
    return rows(c, groups.row_at(place), k);
  }
};

/// What the rows of a product are: those of the batch, or the pixels of a convolution's output.
enum class Geometry { Rows, Pixels };

/// Shared memory of a tile.
template <class Tile, int Channels, Geometry geometry>
struct TileMemory {
  ProductMemory<Tile, Channels> product;
};
template <class Tile, int Channels>
struct TileMemory<Tile, Channels, Geometry::Pixels> {
  ProductMemory<Tile, Channels> product;
  PixelPlace places[Tile::kRows];

  /// Sets the places of a tile's rows; all threads take part. `time` [groups] may be null.
  __device__ void set_places(const Taps& taps, const Groups& groups, int first_place, int batch,
                             const float* time) {
    for (int r = threadIdx.x; r < Tile::kRows; r += Tile::kThreads) {
      const int row = first_place + r < batch ? groups.row_at(first_place + r) : -1;
      places[r] = {};
      if (row < 0 || !groups.of_row(row).working) continue;
      places[r] = taps.place(row);
      if (time) places[r].time = time[row / groups.rows];
    }
    __syncthreads();
  }
};

/// A of a tile whose rows are pixels, of the channels from `first_channel` to `last_channel`; zero
/// beyond both, in the border of an image, and where rows rest. A blend's depth is twice the taps'.
struct TileOfPixels {
  const PixelPlace* places;  ///< of the tile's rows
  const Taps& taps;
  const float* value;     ///< (B, pixels, C)
  const float* tangents;  ///< (K, B, pixels, C)
  std::size_t size;       ///< of one of them
  int first_channel, last_channel;

  __device__ float operator()(int channel, int r, int k) const {
    const int c = first_channel + channel;
    const bool second = k >= taps.depth;
    const Tap tap = taps.tap(second ? k - taps.depth : k);
    const PixelPlace place = places[r];
    if (c > last_channel || !tap.meets(place)) return 0.f;
    const float* from = c == 0 ? value : tangents + std::size_t(c - 1) * size;
    const float entry = from[place.first + tap.entry];
    return second ? place.time * entry : entry;
  }
};

/// B of a tile whose units begin at `first_unit`: W (depth, units) as weights.h packs it.
struct TileOfWeights {
  const float* weights;
  int units, first_unit;

  __device__ float operator()(int k, int u) const {
    const int unit = first_unit + u;
    return unit < units ? weights[std::size_t(k) * units + unit] : 0.f;
  }
};

}  // namespace ffjord::cuda
