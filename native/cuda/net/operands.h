// The operands of a net's products, as multiply_tile loads them: where a geometry lies in memory is
// known here and nowhere else. A convolution's rows (places of an image, its taps along the depth)
// would be one more loader.
#pragma once

#include <cstddef>

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
