// A float32 as the sum of two TF32 numbers, high and low, for products on the tensor cores: a b ≈
// high high + high low + low high.
//
// The cores cut what they add, so that a long sum drifts: what multiplies by them sums some tens of
// products there, and adds those sums up in float32.
#pragma once

#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

inline constexpr int kTf32Step = 8;           ///< depth of a product of fragments
inline constexpr int kTf32WeightPadding = 8;  ///< of a row of B, so that lanes meet no bank twice

/// The operands of a fragment, split.
template <int Registers>
struct Tf32Pair {
  unsigned high[Registers], low[Registers];
};

/// x ≈ high + low, of 11 significant bits each.
__device__ __forceinline__ void split_tf32(float x, unsigned& high, unsigned& low) {
  high = round_tf32(x);
  low = round_tf32(x - __uint_as_float(high));
}

}  // namespace ffjord::cuda
