// A float32 as the sum of two float16, high and low, for products on the tensor cores: 22 bits.
//
// A half ends at 65504 and thins out below 2⁻¹⁴. What is multiplied together is scaled by a power
// of two so that its largest entry lies in [2¹⁴, 2¹⁵): entries down to 2⁻¹⁶ of it then keep all
// bits, smaller ones 2⁻³⁹ of the largest. What is not finite comes out as NaN.
#pragma once

#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

enum Part : int { kHigh, kLow };

/// Bits of |x|, in order of size.
__device__ __forceinline__ unsigned magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }

/// The exponent of the power of two that brings the largest of some entries into [2¹⁴, 2¹⁵), by its
/// magnitude; 0 for zeros alone, and for what is not finite. Its inverse is normal.
__device__ __forceinline__ int scale_exponent(unsigned largest) {
  const int exponent = static_cast<int>(largest >> 23);
  return largest == 0 || exponent == 255 ? 0 : min(127 + 14 - exponent, 126);
}
__device__ __forceinline__ float power_of_two(int exponent) {
  return __uint_as_float(static_cast<unsigned>(127 + exponent) << 23);
}

/// A power of two that brings the largest of some entries into [2¹⁴, 2¹⁵), and its inverse. Both
/// are normal, whatever the largest is.
struct HalfScale {
  float up, down;
};
__device__ __forceinline__ HalfScale half_scale(float largest) {
  constexpr unsigned kOne = 1u << 23;  // of an exponent
  const unsigned exponent = max(__float_as_uint(largest) & 0x7f800000u, 15 * kOne);
  const unsigned up = (2 * 127 + 14) * kOne - exponent;
  return {__uint_as_float(up), __uint_as_float(2 * 127 * kOne - up)};
}

/// Two scaled neighbours in depth, in one register each.
__device__ __forceinline__ void split_halves(float x, float y, unsigned& high, unsigned& low) {
  high = pack_half2(x, y);
  const float2 rounded = unpack_half2(high);
  low = pack_half2(x - rounded.x, y - rounded.y);
}

/// Eight neighbours in depth, times `up`.
__device__ __forceinline__ void split_octet(const float (&x)[8], float up, uint4& high,
                                            uint4& low) {
  split_halves(x[0] * up, x[1] * up, high.x, low.x);
  split_halves(x[2] * up, x[3] * up, high.y, low.y);
  split_halves(x[4] * up, x[5] * up, high.z, low.z);
  split_halves(x[6] * up, x[7] * up, high.w, low.w);
}

}  // namespace ffjord::cuda
