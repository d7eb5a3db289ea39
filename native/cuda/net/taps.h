// How a product walks over images: which pixel of its input a pixel of its output meets at each tap
// of a filter. Images lie pixel by pixel, (B, pixels, channels), so that the rows of a product are
// the pixels of all samples, and its depth is (tap, channel).
#pragma once

#include "core/linear_map.h"
#include "cuda/device/divider.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// A pixel of the output: where taps are counted from.
struct PixelPlace {
  int first;   ///< pixel of the input of its sample; −1: nothing is wanted here
  int y, x;    ///< times the step
  float time;  ///< of its group, where the weights are those of a blend
};

/// A tap, and a channel of the input there.
struct Tap {
  int channel, y, x;
};

/// Row y of the output meets row (step y + start + direction i) / stride of the input at tap i,
/// where there is one and that is a whole number; columns alike.
struct Taps {
  int channels = 0;  ///< C of the input
  int depth = 0;     ///< taps · C; 0: there is no walk, as a pixel meets itself alone
  int height = 1, width = 1, pixels = 1;  ///< of the input
  int step = 1, start = 0, direction = 1;
  Divider by_channels, by_kernel_width, by_pixels, by_width, by_stride;  ///< the third and fourth
                                                                         ///< of the output

  __device__ PixelPlace place(int sample, int pixel, float time) const {
    const int y = by_width(pixel), x = pixel - y * by_width.divisor();
    return {sample * pixels, y * step + start, x * step + start, time};
  }
  /// That of a row of the product.
  __device__ PixelPlace place(int row) const {
    const int sample = by_pixels(row);
    return place(sample, row - sample * by_pixels.divisor(), 0.f);
  }
  __device__ Tap tap(int k) const {
    const int tap = by_channels(k), i = by_kernel_width(tap);
    return {k - tap * channels, direction * i, direction * (tap - i * by_kernel_width.divisor())};
  }
  /// The pixel of the input, among those of all samples; −1: the border of zeros.
  __device__ int pixel_at(const PixelPlace& place, const Tap& tap) const {
    const int y = place.y + tap.y, x = place.x + tap.x;
    if (y < 0 || x < 0) return -1;
    const int row = by_stride(y), column = by_stride(x), stride = by_stride.divisor();
    const bool inside = row < height && column < width && row * stride == y && column * stride == x;
    return inside ? place.first + row * width + column : -1;
  }
};

/// The walk of a convolution, and that of its transpose, which takes cotangents back.
Taps taps_of(const LinearMap& map);
Taps taps_back(const LinearMap& map);

/// Whether a pixel meets itself alone, so that rows are multiplied as those of a dense map.
bool meets_itself(const LinearMap& map);

}  // namespace ffjord::cuda
