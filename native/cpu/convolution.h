// out = W in for images, W any LinearMap or the transpose of one: direct convolutions by the
// micro-kernel of product.h, or Winograd's (winograd.h).
//
// A filter that passes over its input (narrow from wide) reads, for each output pixel, as many runs
// as it has rows, each of width · channels features. One that spreads its input (wide from narrow)
// falls into stride² phases: output pixels of equal remainder are reached through the same taps,
// and each phase is a small filter of stride 1. FLOPs: 2 · taps · in · out a column and pixel of
// the small plane; of 64 → 64 channels a block of twelve rows of W takes 27.6 kB of the first
// cache, and a pixel's three runs 128 bytes from the second for 24 multiply-adds.
#pragma once

#include <vector>

#include "cpu/images.h"
#include "cpu/product.h"
#include "cpu/tile_net.h"
#include "cpu/winograd.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// Output pixels that are reached through the same taps, in rows and columns `step` apart.
struct ConvolutionPhase {
  int first_y = 0, first_x = 0, step = 1;
  int rows = 0, columns = 0;
  int from_y = 0, from_x = 0, stride = 1;  ///< the first pixel's first tap; taps of the next pixel
  int taps_y = 0, taps_x = 0;
  int kernel_y = 0, kernel_x = 0;  ///< of a spread: the remainder of its taps
  PackedMatrix weights;            ///< (out, taps_y · taps_x · stored channels of the input)

  bool has_taps() const { return taps_y > 0 && taps_x > 0; }
  int y(int row) const { return first_y + row * step; }
  int x(int column) const { return first_x + column * step; }
};

/// W of a map (Direction::Forward), or its transpose, as W moves between a wide plane and a narrow
/// one: element (n, c, i, j) joins channel n of the narrow side and c of the wide.
class PackedConvolution {
 public:
  enum class Direction { Forward, Backward };

  PackedConvolution() = default;
  PackedConvolution(const LinearMap& map, Direction direction,
                    ConvolutionMethod method = ConvolutionMethod::Direct)
      : convolution_(map.convolution),
        spreads_(map.transposed() == (direction == Direction::Forward)),
        in_(direction == Direction::Forward ? map.plane_in : map.plane_out),
        out_(direction == Direction::Forward ? map.plane_out : map.plane_in),
        channels_in_(direction == Direction::Forward ? map.channels_in : map.channels_out),
        channels_out_(direction == Direction::Forward ? map.channels_out : map.channels_in) {
    spreads_ ? plan_spread() : plan_gather();
    transforms_ = method == ConvolutionMethod::Fastest && transforming_pays();
  }

  /// Whether Winograd's transforms take the place of the direct products.
  bool transforms() const { return transforms_; }
  const WinogradConvolution& transformed() const { return winograd_; }
  /// Floats that convolve() needs beside.
  std::size_t scratch(int in_stored, int out_stored) const {
    return transforms_ ? winograd_.scratch(in_stored, out_stored) : 0;
  }

  int channels_out() const { return channels_out_; }
  const std::vector<ConvolutionPhase>& phases() const { return phases_; }

  /// The border of zeros that its input needs.
  Margins margins() const {
    Margins margins;
    for (const ConvolutionPhase& phase : phases_) {
      if (!phase.has_taps()) continue;
      // Tiles of two by two pixels may end a row and a column beyond.
      const int rows = transforms_ ? round_up(phase.rows, 2) : phase.rows;
      const int columns = transforms_ ? round_up(phase.columns, 2) : phase.columns;
      const int end_y = phase.from_y + (rows - 1) * phase.stride + phase.taps_y;
      const int end_x = phase.from_x + (columns - 1) * phase.stride + phase.taps_x;
      margins.widen({-phase.from_y, -phase.from_x, end_y - in_.height, end_x - in_.width});
    }
    return margins;
  }

  /// `stored` channels of the input lie from pixel to pixel; `element(n, c, i, j)` gives W.
  template <class Element>
  void pack(int stored, Element element) {
    if (transforms_) {
      const ConvolutionPhase& phase = phases_.front();
      winograd_.pack({out_, phase.from_y, phase.from_x}, channels_out_, stored,
                     [&](int out, int in, int ty, int tx) {
                       return in < channels_in_ ? at(phase, out, in, ty, tx, element) : 0.f;
                     });
      return;
    }
    for (ConvolutionPhase& phase : phases_)
      phase.weights.pack(channels_out_, phase.taps_y * phase.taps_x * stored, [&](int out, int k) {
        const int in = k % stored, tap = k / stored;
        if (in >= channels_in_) return 0.f;
        return at(phase, out, in, tap / phase.taps_x, tap % phase.taps_x, element);
      });
  }

  /// element(n, c, i, j) of what tap (ty, tx) of a phase takes from channel `in` to `out`.
  template <class Element>
  auto at(const ConvolutionPhase& phase, int out, int in, int ty, int tx, Element element) const {
    if (!spreads_) return element(out, in, ty, tx);
    // A pixel further on in the input is one that the tap `stride` before reaches.
    const int s = convolution_.stride;
    return element(in, out, phase.kernel_y + s * (phase.taps_y - 1 - ty),
                   phase.kernel_x + s * (phase.taps_x - 1 - tx));
  }

 private:
  // Products of 16 places where 36 are direct, less what planes of odd sides waste, against sums of
  // vectors in the transforms: measured, these win from 16 channels on, and on 7 × 7 still.
  bool transforming_pays() const {
    constexpr int kLeastChannels = 16;
    if (phases_.size() != 1 || phases_.front().taps_y != 3 || phases_.front().taps_x != 3 ||
        phases_.front().stride != 1 || phases_.front().step != 1)
      return false;
    const double products = 4.0 * round_up(out_.height, 2) * round_up(out_.width, 2);
    return std::min(channels_in_, channels_out_) >= kLeastChannels &&
           products < 0.6 * 9 * double(out_.size());
  }

  void plan_gather() {
    ConvolutionPhase phase;
    phase.rows = out_.height;
    phase.columns = out_.width;
    phase.from_y = phase.from_x = -convolution_.padding;
    phase.stride = convolution_.stride;
    phase.taps_y = convolution_.kernel.height;
    phase.taps_x = convolution_.kernel.width;
    phases_.push_back(phase);
  }

  // Output Y is the sum over taps i of input (Y + padding − i) / stride, where that is whole: of
  // the i that leave the remainder of Y + padding.
  void plan_spread() {
    const int s = convolution_.stride, padding = convolution_.padding;
    if (in_.size() == 1) return plan_spread_of_a_pixel();
    struct Axis {
      int first, count, from, taps;
    };
    const auto axis = [&](int remainder, int kernel, int length) {
      const int first = ((remainder - padding) % s + s) % s;
      const int taps = remainder < kernel ? (kernel - remainder + s - 1) / s : 0;
      const int count = first < length ? (length - first + s - 1) / s : 0;
      return Axis{first, count, (first + padding - remainder) / s - (taps - 1), taps};
    };
    for (int ry = 0; ry < s; ++ry)
      for (int rx = 0; rx < s; ++rx) {
        const Axis y = axis(ry, convolution_.kernel.height, out_.height);
        const Axis x = axis(rx, convolution_.kernel.width, out_.width);
        if (y.count == 0 || x.count == 0) continue;
        ConvolutionPhase phase;
        phase.first_y = y.first;
        phase.first_x = x.first;
        phase.step = s;
        phase.rows = y.count;
        phase.columns = x.count;
        phase.from_y = y.from;
        phase.from_x = x.from;
        phase.taps_y = x.taps == 0 ? 0 : y.taps;
        phase.taps_x = y.taps == 0 ? 0 : x.taps;
        phase.kernel_y = ry;
        phase.kernel_x = rx;
        phases_.push_back(phase);
      }
  }

  // Each output pixel is reached through one tap: by phases of several, of 7 by 7, all but one of
  // 49 would read zeros.
  void plan_spread_of_a_pixel() {
    const auto tap = [&](int at, int kernel) {
      const int place = at + convolution_.padding;
      return place < kernel ? place : -1;
    };
    for (int y = 0; y < out_.height; ++y)
      for (int x = 0; x < out_.width; ++x) {
        ConvolutionPhase phase;
        phase.first_y = y;
        phase.first_x = x;
        phase.rows = phase.columns = 1;
        phase.kernel_y = tap(y, convolution_.kernel.height);
        phase.kernel_x = tap(x, convolution_.kernel.width);
        phase.taps_y = phase.taps_x = phase.kernel_y < 0 || phase.kernel_x < 0 ? 0 : 1;
        phases_.push_back(phase);
      }
  }

  Convolution convolution_;
  bool spreads_ = false;  // wide from narrow
  Plane in_, out_;
  int channels_in_ = 0, channels_out_ = 0;
  std::vector<ConvolutionPhase> phases_;
  bool transforms_ = false;
  WinogradConvolution winograd_;
};

/// Rows [kBlockRows · block, …) of W, for `count` pixels from number `first` of a phase's row.
[[gnu::always_inline]] inline void convolve_pixels(const ConvolutionPhase& phase, int block,
                                                   int row, int first, int count, const Images& in,
                                                   const Images& out, int panels) {
  const bool taps = phase.has_taps();
  const Panels from =
      taps ? in.pixel(phase.from_y + row * phase.stride, phase.from_x + first * phase.stride)
           : Panels{in.data, 0};
  const Panels to = out.pixel(phase.y(row), phase.x(first));
  const Runs runs{taps ? phase.taps_y : 1, in.layout.row_stride()};
  for (int panel = 0; panel < panels; ++panel) {
    const float* const source = from.data + panel * from.stride;
    float* const target = to.data + panel * to.stride;
    multiply_rows(phase.weights, block,
                  {source, source + kLanes, phase.stride * in.layout.pixel_stride(), target,
                   target + kLanes, phase.step * out.layout.pixel_stride(), count},
                  runs);
  }
}

/// out = W in. `behind(y, x, first, last)` is called for rows [first, last) of each output pixel
/// once its sums are there and still in the first caches. `scratch` may be null where none is asked
/// for.
template <class Behind>
void convolve(const PackedConvolution& map, const Images& in, const Images& out, int panels,
              float* scratch, Behind behind) {
  if (map.transforms()) return map.transformed().run(in, out, panels, scratch, behind);
  constexpr int kPixels = 8;  // of one block of rows at a time
  for (const ConvolutionPhase& phase : map.phases())
    for (int row = 0; row < phase.rows; ++row)
      for (int begin = 0; begin < phase.columns; begin += kPixels) {
        const int count = std::min(kPixels, phase.columns - begin);
        for (int block = 0; block <= phase.weights.full_blocks(); ++block) {
          const int first = block * kBlockRows;
          const int last = std::min(first + kBlockRows, map.channels_out());
          if (first >= last) break;
          convolve_pixels(phase, block, row, begin, count, in, out, panels);
          for (int column = begin; column < begin + count; ++column)
            behind(phase.y(row), phase.x(column), first, last);
        }
      }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
