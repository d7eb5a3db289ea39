// How the values and tangents of one layer lie in memory.
//
// A tile is cut into strips of kLanes rows; a strip has `channels` columns: the value and its
// tangents. Columns are numbered strip · channels + channel and laid side by side, two to a panel,
// [panel][feature][2][kLanes]: a product reads one panel from front to end, and with one tangent a
// panel is exactly one strip.
#pragma once

#include <cstddef>

#include "cpu/aligned.h"
#include "cpu/vec.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline constexpr int kPanelColumns = 2;
inline constexpr int kFeatureStride = kPanelColumns * kLanes;  ///< floats from feature to feature

inline void reserve(AlignedFloats& memory, std::size_t floats) {
  if (memory.size() < floats) memory.resize(floats, 0.f);
}

/// A borrowed array of panels.
struct Panels {
  float* data = nullptr;
  std::size_t stride = 0;  ///< floats from one panel to the next

  std::size_t offset(int column) const { return (column >> 1) * stride + (column & 1) * kLanes; }
  float* column(int index) const { return data + offset(index); }
};

inline constexpr int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Features that transposition reads: whole blocks of 2 kLanes.
inline constexpr int padded_features(int features) { return round_up(features, 2 * kLanes); }

/// The arrangement of all arrays of a tile, for one number of channels.
struct Columns {
  int strips = 2;  ///< even
  int channels = 1;

  int count() const { return strips * channels; }
  int panels() const { return count() / kPanelColumns; }
  /// Room for whole blocks of a product's rows; and a little more than a power of two, which would
  /// put the same feature of all strips into one set of the first cache, and stores to one strip in
  /// the way of loads from the next.
  std::size_t panel_stride(int features) const {
    return std::size_t(padded_features(features) + 8) * kFeatureStride;
  }
  std::size_t floats(int features) const { return panels() * panel_stride(features); }
  Panels place(float* data, int features) const { return {data, panel_stride(features)}; }
};

/// Steps through the columns of a tile in order: a strip's value, its tangents, the next strip's
/// value.
template <int Tangents>
struct ColumnWalk {
  std::size_t at, stride;
  bool second = false;

  [[gnu::always_inline]] std::size_t value() { return Tangents == 1 ? at : next(); }
  [[gnu::always_inline]] std::size_t tangent() {
    if constexpr (Tangents != 1) return next();
    at += stride;
    return at - stride + kLanes;
  }

 private:
  [[gnu::always_inline]] std::size_t next() {
    const std::size_t here = at;
    at += second ? stride - kLanes : kLanes;
    second = !second;
    return here;
  }
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
