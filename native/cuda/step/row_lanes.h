// A few neighbouring lanes of a warp share a row and add up in a fixed order.
#pragma once

#include <type_traits>

#include "cuda/device/launch.h"

namespace ffjord::cuda {

inline constexpr int kRowThreads = 128;

/// Lanes a row for rows of so many entries.
inline int lanes_for(int entries) { return entries <= 4 ? 1 : entries <= 32 ? 8 : 32; }

inline LaunchShape row_shape(int rows, int lanes) {
  const int rows_a_block = kRowThreads / lanes;
  return {dim3((rows + rows_a_block - 1) / rows_a_block), dim3(kRowThreads)};
}

/// The present thread's row and its place among the row's lanes.
template <int Lanes>
struct RowLane {
  int row = (blockIdx.x * kRowThreads + threadIdx.x) / Lanes, lane = threadIdx.x % Lanes;

  /// All lanes of the warp take part, and each gets its row's sum.
  template <class Real>
  __device__ static Real sum(Real value) {
    for (int distance = Lanes / 2; distance > 0; distance /= 2)
      value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
  }
};

/// Calls `start` with the number of lanes as a constant.
template <class Start>
void with_lanes(int entries, const Start& start) {
  switch (lanes_for(entries)) {
    case 1:
      return start(std::integral_constant<int, 1>());
    case 8:
      return start(std::integral_constant<int, 8>());
    default:
      return start(std::integral_constant<int, 32>());
  }
}

}  // namespace ffjord::cuda
