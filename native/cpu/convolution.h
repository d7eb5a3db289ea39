// out = W in for images, W any LinearMap or the transpose of one: direct convolutions by the
// micro-kernel of tap_runs.h, or Winograd's (winograd.h).
//
// A filter that passes over its input (narrow from wide) reads, for each output pixel, as many runs
// as it has rows, each of width · channels features. One that spreads its input (wide from narrow)
// falls into stride² phases: output pixels of equal remainder are reached through the same taps,
// and each phase is a small filter of stride 1. FLOPs: 2 · taps · in · out a column and pixel of
// the small plane, less those of taps in the border. Of 3 by 3 taps of 64 channels a block of
// twelve rows of W takes 27.6 kB and a pixel's runs 74 kB, so both are taken in parts that the
// first cache holds while eight pixels pass.
#pragma once

#include <vector>

#include "cpu/images.h"
#include "cpu/product.h"
#include "cpu/tap_runs.h"
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
    transforms_ = method != ConvolutionMethod::Direct &&
                  transforming_pays(method == ConvolutionMethod::Coarse ? 5 : 3);
    if (!transforms_) return;
    const ConvolutionPhase& phase = phases_.front();
    winograd_ = WinogradConvolution({out_, phase.from_y, phase.from_x, phase.taps_y});
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
      winograd_.pack(channels_out_, stored, [&](int out, int in, int ty, int tx) {
        return in < channels_in_ ? at(phases_.front(), out, in, ty, tx, element) : 0.f;
      });
      return;
    }
    for (ConvolutionPhase& phase : phases_) {
      const int depth = phase.taps_y * phase.taps_x * stored;
      if (phase.weights.rows != channels_out_ || phase.weights.depth != depth)
        phase.weights.resize(channels_out_, depth);
    }
    // Blocks of W whose taps, as they are read and as they are written, fit in the first cache.
    constexpr int kChannels = 8;
    for (int out = 0; out < channels_out_; out += kBlockRows)
      for (int in = 0; in < channels_in_; in += kChannels)
        for (ConvolutionPhase& phase : phases_)
          pack_block(phase, stored, {out, std::min(out + kBlockRows, channels_out_)},
                     {in, std::min(in + kChannels, channels_in_)}, element);
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

  /// Calls add(n, c, i, j, W̄[n, c, i, j]) with what sums before the transform come to.
  template <class Add>
  void for_each_tap(const float* sums, int in_stored, int out_stored, Add add) const {
    for (int out = 0; out < channels_out_; ++out)
      for (int in = 0; in < channels_in_; ++in)
        winograd_.for_each_tap(sums, in_stored, out_stored, out, in,
                               [&](int ty, int tx, float sum) {
                                 at(phases_.front(), out, in, ty, tx,
                                    [&](int n, int c, int i, int j) { add(n, c, i, j, sum); });
                               });
  }

 private:
  struct Channels {
    int first, end;
  };
  template <class Element>
  void pack_block(ConvolutionPhase& phase, int stored, Channels outs, Channels ins,
                  Element element) const {
    int step;
    float* const block = phase.weights.row_start(outs.first, step);
    for (int ty = 0; ty < phase.taps_y; ++ty)
      for (int tx = 0; tx < phase.taps_x; ++tx)
        for (int in = ins.first; in < ins.end; ++in) {
          float* const to = block + (std::size_t(ty * phase.taps_x + tx) * stored + in) * step;
          for (int out = outs.first; out < outs.end; ++out)
            to[out - outs.first] = at(phase, out, in, ty, tx, element);
        }
  }

  // Of 3 × 3 taps 16 products where 36 are direct, of 5 × 5 taps 36 where 100 are, less what planes
  // of odd sides waste, against sums of vectors in the transforms: measured, these win from 16
  // channels on, of 3 × 3 taps on 7 × 7 still. Of 5 × 5 taps on 7 × 7 a third lies in the border,
  // and there they were 5 % slower.
  bool transforming_pays(int most_taps) const {
    constexpr int kLeastChannels = 16;
    if (phases_.size() != 1) return false;
    const ConvolutionPhase& phase = phases_.front();
    const int taps = phase.taps_y;
    if ((taps != 3 && taps != 5) || taps > most_taps || phase.taps_x != taps || phase.stride != 1 ||
        phase.step != 1)
      return false;
    const double tiles = 0.25 * round_up(out_.height, 2) * round_up(out_.width, 2);
    const double share = taps == 3 ? 0.6 : 0.45;
    return std::min(channels_in_, channels_out_) >= kLeastChannels &&
           (taps + 1) * (taps + 1) * tiles < share * taps * taps * double(out_.size());
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

inline constexpr int kPixelsTogether = 8;  ///< of one block of rows at a time

/// Rows [kBlockRows · block, …) of W, for `count` pixels from number `first` of a phase's row. A
/// part of a filter passes over all of them, so that its weights and most of what is under it stay
/// in the first cache: of 5 by 5 taps and 32 channels 102 kB would come from the second for each
/// pixel anew, a third of the time. Taps in the border are left out.
inline void convolve_pixels(const ConvolutionPhase& phase, int block, int row, int first, int count,
                            const Images& in, const Images& out, int panel) {
  constexpr int kWindow = (20 << 10) / int(kFeatureStride * sizeof(float));  // features
  const ImageLayout& layout = in.layout;
  const int stored = layout.channels, run = phase.taps_x * stored;
  const int rows = block < phase.weights.full_blocks() ? kBlockRows : phase.weights.tail_rows();
  const AddRuns add = runs_of_rows(rows);
  const int y = phase.from_y + row * phase.stride, x = phase.from_x + first * phase.stride;
  const Panels to = out.pixel(phase.y(row), phase.x(first));
  float* const target =
      to.data + panel * to.stride + std::size_t(block) * kBlockRows * kFeatureStride;
  const std::size_t source_stride = phase.stride * layout.pixel_stride();
  const std::size_t target_stride = phase.step * out.layout.pixel_stride();

  struct Features {
    int first, end;  // of a run
    bool operator==(const Features& other) const {
      return first == other.first && end == other.end;
    }
  };
  const auto inside = [&](const Features& part, int pixel) {
    const int left = x + pixel * phase.stride;
    return Features{std::max(part.first, -left * stored),
                    std::min(part.end, (layout.plane.width - left) * stored)};
  };
  bool written[kPixelsTogether] = {};
  const auto add_part = [&](int tap, int taps, const Features& part) {
    for (int pixel = 0, end; pixel < count; pixel = end) {
      const Features here = inside(part, pixel);
      for (end = pixel + 1; end < count && inside(part, end) == here; ++end)
        if (written[end] != written[pixel]) break;
      if (here.first >= here.end) continue;
      const Panels from = in.pixel(y + tap, x + pixel * phase.stride);
      const float* const source =
          from.data + panel * from.stride + std::size_t(here.first) * kFeatureStride;
      float* const sums = target + pixel * target_stride;
      const int length = here.end - here.first;
      add(phase.weights.block(block) + std::size_t(tap * run + here.first) * rows, run - length,
          length, {taps, layout.row_stride()},
          {source, source + kLanes, source_stride, sums, sums + kLanes, target_stride, end - pixel},
          written[pixel]);
      std::fill(written + pixel, written + end, true);
    }
  };

  const int end_tap = std::min(phase.taps_y, layout.plane.height - y);
  const int together = std::max(1, kWindow / std::max(1, run));
  const int parts = (run + kWindow - 1) / kWindow,
            length = parts > 0 ? (run + parts - 1) / parts : 1;
  for (int tap = std::max(0, -y); tap < end_tap; tap += together)
    for (int begin = 0; begin < run; begin += length)
      add_part(tap, std::min(together, end_tap - tap), {begin, std::min(run, begin + length)});
  for (int pixel = 0; pixel < count; ++pixel)  // that no tap reaches
    if (!written[pixel])
      std::fill_n(target + pixel * target_stride, std::size_t(rows) * kFeatureStride, 0.f);
}

/// out = W in. `behind(y, x, first, last)` is called for rows [first, last) of each output pixel
/// once its sums are there and still in the first caches. `scratch` may be null where none is asked
/// for.
template <class Behind>
void convolve(const PackedConvolution& map, const Images& in, const Images& out, int panels,
              float* scratch, Behind behind) {
  if (map.transforms()) return map.transformed().run(in, out, panels, scratch, behind);
  for (const ConvolutionPhase& phase : map.phases())
    for (int row = 0; row < phase.rows; ++row)
      for (int begin = 0; begin < phase.columns; begin += kPixelsTogether) {
        const int count = std::min(kPixelsTogether, phase.columns - begin);
        for (int block = 0; block <= phase.weights.full_blocks(); ++block) {
          const int first = block * kBlockRows;
          const int last = std::min(first + kBlockRows, map.channels_out());
          if (first >= last) break;
          for (int panel = 0; panel < panels; ++panel)
            convolve_pixels(phase, block, row, begin, count, in, out, panel);
          for (int column = begin; column < begin + count; ++column)
            behind(phase.y(row), phase.x(column), first, last);
        }
      }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
