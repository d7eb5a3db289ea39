// Rows of a batch as lines of a prepared operand (octets.h). Of dense nets a row is a line. Rows
// that are pixels have zeros around them: a line behind each row of an image, a row of lines behind
// each image and before the first. A tap of 3 × 3 then lies equally many lines away everywhere, so
// that a product walks over taps without asking where an image ends. Of 28 × 28 pixels 93 % of the
// lines are pixels, of 7 × 7 77 %.
#pragma once

#include "core/linear_map.h"
#include "cuda/device/divider.h"
#include "cuda/device/grid.h"

namespace ffjord::cuda {

inline constexpr int kTileRows = 64;  ///< lines of a tile of rows

class RowLines {
 public:
  RowLines() = default;
  static RowLines of_rows(int batch) { return RowLines({1, 1}, batch, 1, 1, 0); }
  static RowLines of_pixels(const Plane& image, int samples) {
    const int width = image.width + 1;
    return RowLines(image, samples, width, (image.height + 1) * width, width + 1);
  }

  __host__ __device__ int tiles() const { return tiles_; }
  /// Lines before the first image. As many on either side of the tiles are read, and lead to no
  /// row.
  __host__ __device__ int margin() const { return margin_; }
  /// Lines of a plane: those of the tiles and on either side.
  __host__ __device__ int plane() const { return tiles_ * kTileRows + 2 * margin_; }
  /// From a row of an image to the next.
  __host__ __device__ int width() const { return by_width_.divisor(); }

  /// The row of the batch that lies there; −1: none.
  __device__ int row(int line) const {
    const int at = line - margin_;
    if (at < 0) return -1;
    const int sample = by_sample_(at), of_image = at - sample * by_sample_.divisor();
    const int y = by_width_(of_image), x = of_image - y * by_width_.divisor();
    return sample < samples_ && y < height_ && x < image_width_
               ? (sample * height_ + y) * image_width_ + x
               : -1;
  }
  /// Where a row of the batch lies.
  __device__ int line(int row) const {
    const int across = by_image_width_(row), sample = by_height_(across);
    return margin_ + sample * by_sample_.divisor() +
           (across - sample * height_) * by_width_.divisor() + row - across * image_width_;
  }

 private:
  RowLines(const Plane& image, int samples, int width, int of_sample, int margin)
      : samples_(samples),
        height_(image.height),
        image_width_(image.width),
        margin_(margin),
        tiles_(tiles_of(margin + samples * of_sample, kTileRows)),
        by_sample_(of_sample),
        by_width_(width),
        by_height_(image.height),
        by_image_width_(image.width) {}

  int samples_ = 0, height_ = 1, image_width_ = 1, margin_ = 0, tiles_ = 0;
  Divider by_sample_, by_width_;        // of lines
  Divider by_height_, by_image_width_;  // of rows
};

/// Taps of a product: how many lines further on each of them reads A. A dense product has one.
struct OctetTaps {
  static constexpr int kMost = 9;
  int count = 1;
  /// From the tap before; of the first from its own line on. None is read behind the last, but its
  /// number is.
  int moves[kMost + 1] = {};

  /// Those of 3 × 3, or of its transpose, which takes cotangents back.
  static OctetTaps of_three(const RowLines& rows, bool transposed) {
    OctetTaps taps;
    taps.count = kMost;
    const int across = rows.width(), sign = transposed ? -1 : 1;
    for (int tap = 0; tap < kMost; ++tap)
      taps.moves[tap] = sign * (tap == 0 ? -across - 1 : tap % 3 == 0 ? across - 2 : 1);
    return taps;
  }
};

}  // namespace ffjord::cuda
