// What rows add to the norm that judges a step: sums of squares over atol + rtol max(|y₀|, |y₁|).
#pragma once

#include <cmath>

#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

inline constexpr int kMostTensors = 4;

/// What some rows of a group add to its norm.
struct NormPart {
  double squares[kMostTensors] = {};
  double rate_change = 0, argument_change = 0;  ///< squares, of the first tensor: core/stiffness.h
  float worst_error = -1;                       ///< of ErrorNorm::row_errors
  int worst_row = 0;

  __device__ void add(const NormPart& other) {
#pragma unroll
    for (int tensor = 0; tensor < kMostTensors; ++tensor) squares[tensor] += other.squares[tensor];
    rate_change += other.rate_change;
    argument_change += other.argument_change;
    const bool worse = other.worst_error > worst_error ||
                       (other.worst_error == worst_error && other.worst_row < worst_row);
    if (!worse) return;
    worst_error = other.worst_error;
    worst_row = other.worst_row;
  }
};

/// Root mean squares over atol + rtol max(|y₀|, |y₁|), one for each tensor; the largest counts.
struct ErrorNorm {
  int tensors[kMostTensors] = {};  ///< numbers of channels, from the first on; 0: absent
  float rtol = 0, atol = 0;
  NormPart* parts = nullptr;    ///< on the device
  float* row_errors = nullptr;  ///< (B): the largest mean square of a tensor; NaN if not finite
};

/// An entry of what is measured, and y₁ there.
struct Measured {
  float value = 0, end = 0;
  float rate_change = 0, argument_change = 0;  ///< of the last two stages
};

/// Adds an entry of a row, of which y is y₀.
__device__ inline void add_entry(NormPart& part, const ErrorNorm& norm, int channel, float y,
                                 const Measured& entry) {
  int tensor = kMostTensors, end = 0;
#pragma unroll
  for (int t = 0; t < kMostTensors; ++t) {
    const int first = end;
    end += norm.tensors[t];
    if (channel >= first && channel < end) tensor = t;
  }
  // 0 · y₁ adds nothing, and makes a NaN of a state that is not finite.
  double square = 0 * entry.end;
  if (tensor < kMostTensors) {
    const float scale = fmaf(norm.rtol, fmaxf(fabsf(y), fabsf(entry.end)), norm.atol);
    const double ratio = entry.value / scale;
    square += ratio * ratio;
  }
  // The tensor is no index of an array: what is indexed so lies in memory, not in registers.
#pragma unroll
  for (int t = 0; t < kMostTensors; ++t)
    part.squares[t] += t == tensor % kMostTensors ? square : 0.;
  if (tensor > 0) return;
  part.rate_change += double(entry.rate_change) * entry.rate_change;
  part.argument_change += double(entry.argument_change) * entry.argument_change;
}

/// Adds up over the lanes of `row`, all of which take part and get the sum; `works`: whether the
/// row does. The row's error is written too.
template <class SumLanes>
__device__ void join_lanes(NormPart& part, const ErrorNorm& norm, int row, bool works, int lane,
                           const SumLanes& sum_lanes) {
  float row_error = 0;
#pragma unroll
  for (int tensor = 0; tensor < kMostTensors; ++tensor) {
    if (norm.tensors[tensor] > 0) {
      part.squares[tensor] = sum_lanes(part.squares[tensor]);
      const float square = static_cast<float>(part.squares[tensor] / norm.tensors[tensor]);
      if (!(square <= row_error) && !std::isnan(row_error)) row_error = square;
    }
  }
  part.rate_change = sum_lanes(part.rate_change);
  part.argument_change = sum_lanes(part.argument_change);
  if (!works) return;
  part.worst_error = row_error;
  part.worst_row = row;
  if (lane == 0) norm.row_errors[row] = row_error;
}

/// The part of `row`, whose lanes share its channels and all take part; `sum_lanes` adds up over
/// them. y: the row's state; measure(channel) gives an entry. The row's error is written too.
template <int Lanes, class Measure, class SumLanes>
__device__ NormPart part_of_row(const ErrorNorm& norm, int row, int channels, int lane,
                                const float* y, const Measure& measure, const SumLanes& sum_lanes) {
  NormPart part;
#pragma unroll 1
  for (int channel = lane; channel < channels; channel += Lanes) {
    const Measured entry = measure(channel);
    add_entry(part, norm, channel, y[channel], entry);
  }
  join_lanes(part, norm, row, channels > 0, lane, sum_lanes);
  return part;
}

/// The norm of a group of so many rows. A NaN stays.
__device__ inline double norm_of(const NormPart& part, const ErrorNorm& norm, int rows) {
  double largest = 0;
#pragma unroll
  for (int tensor = 0; tensor < kMostTensors; ++tensor) {
    if (norm.tensors[tensor] > 0) {
      const double rms = sqrt(part.squares[tensor] / (double(rows) * norm.tensors[tensor]));
      if (!(rms <= largest) && !std::isnan(largest)) largest = rms;
    }
  }
  return largest;
}

}  // namespace ffjord::cuda
