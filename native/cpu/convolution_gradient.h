// W̄ of a convolution: W̄[n, c, i, j] += Σ narrow[n, p] · wide[c, stride p − padding + (i, j)] over
// pixels p of the narrow side, rows and tangents.
//
// One side lies as it is, rows in lanes; the other is transposed to features in lanes, a strip of
// pixels at a time, and serves all taps from the first two caches. The sums are kept as
// (taps, narrow, padded wide), or, where that leaves less padding, as (taps, wide, padded narrow),
// whose left factor is a whole run of taps. 2 · taps · narrow · wide FLOPs a column and pixel.
#pragma once

#include <algorithm>
#include <span>

#include "core/linear_map.h"
#include "cpu/images.h"
#include "cpu/weight_gradient.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

class ConvolutionGradient {
 public:
  ConvolutionGradient() = default;
  /// Channels of the two sides as they are stored.
  ConvolutionGradient(const LinearMap& map, int narrow, int wide)
      : convolution_(map.convolution),
        narrow_plane_(map.transposed() ? map.plane_in : map.plane_out),
        wide_plane_(map.transposed() ? map.plane_out : map.plane_in),
        narrow_(narrow),
        wide_(wide),
        wide_in_lanes_(std::size_t(narrow) * padded_features(wide) <=
                       std::size_t(wide) * padded_features(narrow)) {}

  std::size_t size() const {
    return taps() * std::size_t(wide_in_lanes_ ? narrow_ : wide_) * stride();
  }
  /// Where the sum of W̄[n, c, i, j] stands.
  std::size_t place(int n, int c, int i, int j) const {
    const std::size_t tap = std::size_t(i) * convolution_.kernel.width + j;
    return wide_in_lanes_ ? (tap * narrow_ + n) * stride() + c : (tap * wide_ + c) * stride() + n;
  }

  /// Floats that `accumulate` needs beside.
  std::size_t scratch() const {
    const int pixels =
        wide_in_lanes_ ? (kPixels - 1) * convolution_.stride + convolution_.kernel.width : kPixels;
    return std::size_t(pixels) * kFeatureStride * stride();
  }

  /// Of each panel, the first `rows` rows count; those behind are zero in one of the images.
  void accumulate(const Images& narrow, const Images& wide, int panels, float* sums, float* scratch,
                  int rows = kFeatureStride) const {
    for (int panel = 0; panel < panels; ++panel)
      for (int x = 0; x < narrow_plane_.width; x += kPixels) {
        const int count = std::min(kPixels, narrow_plane_.width - x);
        if (wide_in_lanes_)
          add_by_wide_rows(narrow, wide, panel, x, count, rows, sums, scratch);
        else
          add_by_narrow_rows(narrow, wide, panel, x, count, rows, sums, scratch);
      }
  }

 private:
  static constexpr int kPixels = 8;  // of the narrow side, transposed at a time

  std::size_t taps() const { return convolution_.kernel.size(); }
  int stride() const { return padded_features(wide_in_lanes_ ? wide_ : narrow_); }

  // Each row of the wide side is transposed once, and meets the rows of the narrow side that reach
  // it.
  void add_by_wide_rows(const Images& narrow, const Images& wide, int panel, int x, int count,
                        int rows, float* sums, float* scratch) const {
    const int s = convolution_.stride, width = convolution_.kernel.width;
    for (int wide_y = 0; wide_y < wide_plane_.height; ++wide_y) {
      bool transposed = false;
      for (int i = 0; i < convolution_.kernel.height; ++i) {
        const int from = wide_y + convolution_.padding - i;
        if (from < 0 || from % s != 0 || from / s >= narrow_plane_.height) continue;
        if (!transposed)
          transpose_pixels(wide, panel, wide_y, x * s - convolution_.padding,
                           (count - 1) * s + width, wide_, scratch);
        transposed = true;
        for (int j = 0; j < width; ++j)
          add_outer({.c = sums + (std::size_t(i) * width + j) * narrow_ * stride(),
                     .c_stride = stride(),
                     .p = column(narrow, panel, from / s, x),
                     .p_row_stride = kFeatureStride,
                     .p_run_stride = narrow.layout.pixel_stride(),
                     .a = scratch + std::size_t(j) * kFeatureStride * stride(),
                     .a_stride = stride(),
                     .a_run_stride = std::size_t(s) * kFeatureStride * stride(),
                     .runs = count,
                     .length = rows},
                    narrow_, wide_);
      }
    }
  }

  void add_by_narrow_rows(const Images& narrow, const Images& wide, int panel, int x, int count,
                          int rows, float* sums, float* scratch) const {
    const int s = convolution_.stride, width = convolution_.kernel.width;
    for (int y = 0; y < narrow_plane_.height; ++y) {
      transpose_pixels(narrow, panel, y, x, count, narrow_, scratch);
      for (int i = 0; i < convolution_.kernel.height; ++i) {
        const int wide_y = y * s - convolution_.padding + i;
        if (wide_y < 0 || wide_y >= wide_plane_.height) continue;
        add_outer({.c = sums + std::size_t(i) * width * wide_ * stride(),
                   .c_stride = stride(),
                   .p = column(wide, panel, wide_y, x * s - convolution_.padding),
                   .p_row_stride = kFeatureStride,
                   .p_run_stride = std::size_t(s) * wide.layout.pixel_stride(),
                   .a = scratch,
                   .a_stride = stride(),
                   .a_run_stride = std::size_t(kFeatureStride) * stride(),
                   .runs = count,
                   .length = rows},
                  width * wide_, narrow_);
      }
    }
  }

  static const float* column(const Images& images, int panel, int y, int x) {
    const Panels pixel = images.pixel(y, x);
    return pixel.data + panel * pixel.stride;
  }

  /// [pixel][2 kLanes][stride()] of `count` pixels from (y, x).
  void transpose_pixels(const Images& images, int panel, int y, int x, int count, int channels,
                        float* to) const {
    for (int pixel = 0; pixel < count; ++pixel)
      transpose_pixel(column(images, panel, y, x + pixel), channels, stride(),
                      to + std::size_t(pixel) * kFeatureStride * stride());
  }

  static void add_outer(OuterArguments outer, int rows, int columns) {
    for (int k = 0; k < columns;) {
      if (rows <= 2 && columns - k > 2 * kLanes) {
        rows == 2 ? accumulate_outer<2, 4>(outer) : accumulate_outer<1, 4>(outer);
        k += 4 * kLanes, outer.c += 4 * kLanes, outer.a += 4 * kLanes;
      } else {
        accumulate_outer_rows(outer, rows);
        k += 2 * kLanes, outer.c += 2 * kLanes, outer.a += 2 * kLanes;
      }
    }
  }

  Convolution convolution_;
  Plane narrow_plane_, wide_plane_;
  int narrow_ = 0, wide_ = 0;
  bool wide_in_lanes_ = true;
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
