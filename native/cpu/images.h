// How the values and tangents of a layer of images lie in memory.
//
// Columns as in panels.h, two to a panel: [panel][y][x][channel][2][kLanes], with a border of zeros
// as wide as the maps read that pass over it. Pixels of a row lie one after the other, so a filter
// reads each of its rows as one run of features: no gather, no copy of the input.
#pragma once

#include <algorithm>

#include "core/linear_map.h"
#include "cpu/aligned.h"
#include "cpu/panels.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// Pixels of zeros around a plane.
struct Margins {
  int top = 0, left = 0, bottom = 0, right = 0;

  void widen(const Margins& other) {
    top = std::max(top, other.top);
    left = std::max(left, other.left);
    bottom = std::max(bottom, other.bottom);
    right = std::max(right, other.right);
  }
};

struct ImageLayout {
  Plane plane;
  int channels = 0;  ///< stored_channels() of those that there are
  Margins margins;

  std::size_t pixel_stride() const { return std::size_t(channels) * kFeatureStride; }
  std::size_t row_stride() const {
    return (margins.left + plane.width + margins.right) * pixel_stride();
  }
  /// Of a panel, a little more than what may be a power of two.
  std::size_t panel_stride() const {
    return (margins.top + plane.height + margins.bottom) * row_stride() + 8 * kFeatureStride;
  }
  /// Room for transposition, which reads whole blocks of 2 kLanes features, behind the last pixel.
  std::size_t floats(int panels) const {
    return panels * panel_stride() + std::size_t(2 * kLanes) * kFeatureStride;
  }
  /// Of pixel (y, x), which may lie in the border, from the start of a panel.
  std::size_t offset(int y, int x) const {
    return (margins.top + y) * row_stride() + (margins.left + x) * pixel_stride();
  }
};

/// A borrowed array of images, and where the columns of each pixel lie in it.
struct Images {
  float* data = nullptr;
  ImageLayout layout;

  Panels pixel(int y, int x) const { return {data + layout.offset(y, x), layout.panel_stride()}; }
};

/// As many as a product writes.
inline constexpr int stored_channels(int channels) {
  return channels == 1 ? 1 : round_up(channels, 2);
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
