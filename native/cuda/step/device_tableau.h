// A tableau in the precision of the states, small enough to be a kernel's argument.
#pragma once

#include <algorithm>
#include <array>

#include "core/tableau.h"
#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

struct DeviceTableau {
  static constexpr int kPowers = Tableau::kDensePowers;

  double c[kMaxStages] = {};
  std::array<std::array<double, kPowers>, kMaxStages> dense{};  ///< as Tableau has it
  float a[kMaxStages][kMaxStages] = {}, b[kMaxStages] = {}, e[kMaxStages] = {};
  float last_change[kMaxStages] = {};
  int stages = 0, order = 0;
  bool fsal = false, adaptive = false;

  __host__ __device__ int end_stage() const { return fsal ? stages - 1 : stages; }
  __device__ float weight(int stage, double theta) const {
    if (theta == 1) return b[stage];
    double sum = 0;
    for (int p = kPowers; p-- > 0;) sum = (sum + dense[stage][p]) * theta;
    return static_cast<float>(sum);
  }
};

inline DeviceTableau device_tableau(const Tableau& tableau) {
  DeviceTableau t;
  t.stages = tableau.stages;
  t.order = tableau.order;
  t.fsal = tableau.fsal;
  t.adaptive = tableau.adaptive;
  std::copy(tableau.dense.begin(), tableau.dense.end(), t.dense.begin());
  for (int i = 0; i < tableau.stages; ++i) {
    t.c[i] = tableau.c[i];
    t.b[i] = static_cast<float>(tableau.b[i]);
    t.e[i] = static_cast<float>(tableau.e[i]);
    t.last_change[i] = static_cast<float>(tableau.last_change[i]);
    for (int j = 0; j < tableau.stages; ++j) t.a[i][j] = static_cast<float>(tableau.a[i][j]);
  }
  return t;
}

}  // namespace ffjord::cuda
