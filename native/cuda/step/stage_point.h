// Where a stage is evaluated: at given rows, or at those that its tableau makes of the stages
// before, which the first layer of a net combines while it loads them.
#pragma once

#include <algorithm>

#include "cuda/device/stream.h"
#include "cuda/step/group.h"
#include "cuda/step/tableau_sums.h"

namespace ffjord::cuda {

struct StagePoint {
  float* values = nullptr;  ///< (B, stride), of which the first I channels count
  int stride = 0;
  // y + h Σ_j a_j k_j is yet to be stored in `values`; without y it is there.
  const float* y = nullptr;      ///< (B, S)
  const float* rates = nullptr;  ///< (stages, B, S): k_j
  int channels = 0;              ///< S
  int count = 0;                 ///< of the stages before
  std::size_t size = 0;          ///< B S
  float a[kMaxStages] = {};

  __host__ __device__ bool has_values() const { return !y; }
  __device__ void store(const Groups& groups, int row, int channel) const {
    const std::size_t at = std::size_t(row) * channels + channel;
    values[std::size_t(row) * stride + channel] =
        stage_argument(a, count, static_cast<float>(groups.of_row(row).h), y[at],
                       [&](int j) { return rates[j * size + at]; });
  }
};

}  // namespace ffjord::cuda
