// What a tableau makes of the rates k_i of one entry of a state; `k(i)` gives them. Small terms are
// summed first, and meet y once.
#pragma once

#include "cuda/step/device_tableau.h"
#include "cuda/step/norm_part.h"

namespace ffjord::cuda {

/// y + h Σ_j a_j k_j of the `count` stages before.
template <class Rates>
__device__ float stage_argument(const float* a, int count, float h, float y, const Rates& k) {
  float sum = 0.f;
  for (int j = 0; j < count; ++j)
    if (a[j] != 0.f) sum = fmaf(a[j], k(j), sum);
  return y + h * sum;
}

/// The sums of an attempt over its stages, which are added in turn.
struct AttemptSums {
  float step = 0.f, error = 0.f, change = 0.f;
  float last = 0.f, before = 0.f;  ///< rates of the last two stages

  __device__ __forceinline__ void add(const DeviceTableau& tableau, int i, float rate) {
    if (tableau.b[i] != 0.f) step = fmaf(tableau.b[i], rate, step);
    if (tableau.e[i] != 0.f) error = fmaf(tableau.e[i], rate, error);
    if (tableau.last_change[i] != 0.f) change = fmaf(tableau.last_change[i], rate, change);
    before = last;
    last = rate;
  }
  __device__ __forceinline__ Measured of(const DeviceTableau& tableau, float h, float y) const {
    if (!tableau.adaptive) return {h * error, y + h * step};
    return {h * error, y + h * step, last - before, h * change};
  }
};

/// y₁ = y + h Σ b_i k_i, the error h Σ e_i k_i, and the changes of the last two stages.
template <class Rates>
__device__ Measured measure_attempt(const DeviceTableau& tableau, float h, float y,
                                    const Rates& k) {
  AttemptSums sums;
#pragma unroll 1
  for (int i = 0; i < tableau.stages; ++i) sums.add(tableau, i, k(i));
  return sums.of(tableau, h, y);
}

}  // namespace ffjord::cuda
