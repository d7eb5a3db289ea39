// How a rank waits for the others: it looks, and looks again, until a deadline.
#pragma once

#include <chrono>

#include "core/errors.h"

namespace ffjord::distributed {

/// Seconds after which a rank that waits also looks whether the others go on at all. Most waits are
/// over before.
inline constexpr double kLong = 0.01;

/// Between two looks: none at first, as most sums are there within microseconds, then longer ones,
/// so that ranks which share cores do not take them from the one that still computes.
class Patience {
 public:
  void wait();
  bool over(double seconds) const;

 private:
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// What a rank throws whose patience is over.
struct OthersAreLate : Error {
  OthersAreLate(int rank, double seconds);
};

}  // namespace ffjord::distributed
