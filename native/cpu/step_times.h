// Where the rows of a tile stand in a step: one t and h for all of them, or one a row.
#pragma once

#include <cstddef>

#include "cpu/tile_net.h"

namespace ffjord::cpu {

class StepTimes {
 public:
  virtual ~StepTimes() = default;
  /// Whether rows have times of their own.
  virtual bool own() const = 0;
  /// Step sizes with their signs, [rows].
  virtual const float* h() const = 0;
  /// t + c_stage h.
  virtual double time(int stage, std::size_t row) const = 0;
  /// What the net needs of a stage's times; a slot of own times holds until the next stage's.
  virtual const TimeSlot& of(int stage) = 0;
};

}  // namespace ffjord::cpu
