// What depends on t alone, one set for each group of rows: gates, shifts, the weights of a
// hypernet. A context makes gates and offsets differ from row to row.
#pragma once

#include "cuda/device/stream.h"
#include "cuda/net/layer.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// A net with its weights, on the device.
struct NetArrays {
  const Layer* layers = nullptr;  ///< on the device
  int layer_count = 0, units = 0, dimension = 0;
  int terms = 0;                      ///< P of a context
  const float* parameters = nullptr;  ///< of the block
  const float* packed = nullptr;      ///< weights.h; of hypernets in TimeArrays
  std::size_t packed_size = 0;
};

/// What t makes of a net, on the device.
struct TimeArrays {
  float* time = nullptr;  ///< [groups]
  /// g, g ⊙ b + s and s: (sets, units), a set for `rows` rows: those of a group, or single ones
  /// where a context moves them.
  float *gate = nullptr, *offset = nullptr, *shift = nullptr;
  int rows = 1, units = 0;
  float* bias = nullptr;    ///< hypernets: b, [groups][units]
  float* packed = nullptr;  ///< hypernets: [groups][packed_size], as weights.h has them

  /// Where g, g ⊙ b + s and s of a row lie.
  __device__ std::size_t entry(int row, int unit) const {
    return std::size_t(row / rows) * units + unit;
  }
};

/// What a closed trace is made of, at one t or for all: c (H₁), or Rᵀ (H₂, H₁), M (H₂, H₁) and Mᵀ
/// (H₁, H₂), where tr = cᵀ d₁ or d₂ᵀ M d₁ (docs/mathematics.md); one set for each group where the
/// output is gated.
struct ClosedArrays {
  float *c = nullptr, *r = nullptr, *m = nullptr, *m_transposed = nullptr;
};

/// Rows at stage time c of their groups.
struct RowTimes {
  Groups groups;
  double c = 0;
  int batch = 0;
  const float* terms = nullptr;  ///< (B, P) of a context; null without one
};

/// Fills `times` of the working groups. `layers` are those of the net.
void set_times(const NetArrays& net, const std::vector<Layer>& layers, const RowTimes& at,
               const TimeArrays& times, const Stream& stream);

}  // namespace ffjord::cuda
