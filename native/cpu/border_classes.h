// Which taps of a filter find their input pixel inside the plane, for each output pixel.
//
// A channel that is the same everywhere, such as that of t, adds to an output pixel the sum of the
// taps inside. Only few sets of taps occur: nine for 3 × 3 filters of stride 1 (first, inner and
// last rows by columns), 16 for a transposed 4 × 4 of stride 2. So the channel is no part of the
// product: it is a table of sums, one a class and output channel, and each pixel knows its class.
#pragma once

#include <algorithm>
#include <vector>

#include "core/linear_map.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

class BorderClasses {
 public:
  /// One class for all pixels.
  BorderClasses() = default;
  explicit BorderClasses(const LinearMap& map)
      : rows_(map.convolution, map.convolution.kernel.height, map.plane_in.height,
              map.plane_out.height),
        columns_(map.convolution, map.convolution.kernel.width, map.plane_in.width,
                 map.plane_out.width) {}

  int count() const { return rows_.count() * columns_.count(); }
  int of(int y, int x) const { return rows_.of(y) * columns_.count() + columns_.of(x); }

  /// Calls visit(i, j) for the taps inside.
  template <class Visit>
  void for_each_tap(int index, Visit visit) const {
    for (int i : rows_.taps(index / columns_.count()))
      for (int j : columns_.taps(index % columns_.count())) visit(i, j);
  }
  /// Calls visit(i, j, y, x) for those of an output pixel, which find input pixel (y, x).
  template <class Visit>
  void for_each_tap_of(int out_y, int out_x, Visit visit) const {
    for (int i : rows_.taps(rows_.of(out_y)))
      for (int j : columns_.taps(columns_.of(out_x)))
        visit(i, j, rows_.from(out_y, i), columns_.from(out_x, j));
  }

 private:
  class Axis {
   public:
    Axis() = default;
    Axis(const Convolution& convolution, int kernel, int in, int out) : convolution_(convolution) {
      sets_.clear();
      for (int y = 0; y < out; ++y) {
        std::vector<int> inside;
        for (int i = 0; i < kernel; ++i) {
          if (convolution.transposed && (y + convolution.padding - i) % convolution.stride != 0)
            continue;
          if (from(y, i) >= 0 && from(y, i) < in) inside.push_back(i);
        }
        const auto place = std::find(sets_.begin(), sets_.end(), inside);
        of_.push_back(static_cast<int>(place - sets_.begin()));
        if (place == sets_.end()) sets_.push_back(inside);
      }
    }
    int count() const { return static_cast<int>(sets_.size()); }
    int of(int y) const { return of_.empty() ? 0 : of_[y]; }
    const std::vector<int>& taps(int index) const { return sets_[index]; }
    int from(int y, int i) const {
      if (convolution_.transposed) return (y + convolution_.padding - i) / convolution_.stride;
      return y * convolution_.stride - convolution_.padding + i;
    }

   private:
    Convolution convolution_;
    std::vector<std::vector<int>> sets_{{}};
    std::vector<int> of_;
  };

  Axis rows_, columns_;
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
