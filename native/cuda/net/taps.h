// How a product walks over images: which pixel of its input a pixel of its output meets at each tap
// of a filter. Images lie pixel by pixel, (B, pixels, channels), so that the rows of a product are
// the pixels of all samples, and its depth is (tap, channel). Where a tap leads is a sum of what
// the pixel and the tap say, and two masks tell whether it leads inside: no division, no
// comparison.
#pragma once

#include <vector>

#include "core/linear_map.h"
#include "cuda/device/divider.h"

namespace ffjord::cuda {

/// A pixel of the output: where its taps are counted from, as an entry of its sample's input, and
/// which rows and columns of the filter meet the input, a bit each.
struct PixelPlace {
  int first;
  unsigned rows, columns;
  float time;  ///< of its group, where the weights are those of a blend
};

/// Rows and columns that a filter may have, as masks have bits.
inline constexpr int kMostTaps = 32;

/// Depth k of a walk: a tap, and a channel of the input there.
struct Tap {
  int row, column;
  int entry;  ///< of the input, from a place's first on

  __device__ bool meets(const PixelPlace& place) const {
    return (place.rows >> row & place.columns >> column & 1u) != 0;
  }
};

/// A walk. Of a convolution that gathers, tap (i, j) lies i rows and j columns on; of one that
/// scatters by its stride, which only every stride-th tap meets, ⌊i / stride⌋ and ⌊j / stride⌋
/// back.
struct Taps {
  const PixelPlace* places = nullptr;  ///< [pixels of the output], on the device
  int depth = 0;     ///< taps · C; 0: there is no walk, as a pixel meets itself alone
  int channels = 0;  ///< C of the input
  int size = 0;      ///< of a sample's input
  int row_step = 0;  ///< entries from a row of the input to the next; negative where it goes back
  int column_step = 0;
  Divider by_channels, by_kernel_width, by_stride;
  Divider by_pixels;  ///< of the output

  __device__ Tap tap(int k) const {
    const int tap = by_channels(k), row = by_kernel_width(tap);
    const int column = tap - row * by_kernel_width.divisor();
    return {row, column,
            by_stride(row) * row_step + by_stride(column) * column_step + k - tap * channels};
  }
  /// The place of a row of the product.
  __device__ PixelPlace place(int row) const {
    const int sample = by_pixels(row);
    PixelPlace place = places[row - sample * by_pixels.divisor()];
    place.first += sample * size;
    return place;
  }
};

/// The walk of a convolution, and that of its transpose, which takes cotangents back; places are
/// the caller's to keep.
struct Walk {
  Taps taps;
  std::vector<PixelPlace> places;
};
Walk walk_of(const LinearMap& map);
Walk walk_back(const LinearMap& map);

/// Whether a pixel meets itself alone, so that rows are multiplied as those of a dense map.
bool meets_itself(const LinearMap& map);

}  // namespace ffjord::cuda
