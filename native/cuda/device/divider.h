// Division by a number that a launch knows and a compiler does not: one product in place of the
// twenty instructions that a card takes for it.
#pragma once

#include <cstdint>

#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

/// n / d of 0 ≤ n < 2³¹ and 1 ≤ d < 2³¹. With 2ˡ ≥ d and m = ⌊2³¹⁺ˡ / d⌋ + 1 the product m d
/// exceeds 2³¹⁺ˡ by at most 2ˡ, so that n m / 2³¹⁺ˡ lies less than 1/d above n / d, and has the
/// same integer part.
class Divider {
 public:
  Divider() : Divider(1) {}
  explicit Divider(int divisor) : divisor_(divisor), shift_(31) {
    while ((std::uint64_t{1} << (shift_ - 31)) < std::uint64_t(divisor)) ++shift_;
    factor_ = static_cast<unsigned>((std::uint64_t{1} << shift_) / divisor + 1);
  }

  __host__ __device__ int divisor() const { return divisor_; }
  __host__ __device__ int operator()(int n) const {
    return static_cast<int>((std::uint64_t(n) * factor_) >> shift_);
  }

 private:
  int divisor_, shift_;
  unsigned factor_;
};

}  // namespace ffjord::cuda
