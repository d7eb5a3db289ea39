// What depends on t alone, one set for each group of rows: gates, shifts, the weights of a
// hypernet, the matrix of a closed trace.
#pragma once

#include "cuda/group.h"
#include "cuda/layer.h"
#include "cuda/stream.h"

namespace ffjord::cuda {

/// A net with its weights, on the device.
struct NetArrays {
  const Layer* layers = nullptr;  ///< on the device
  int layer_count = 0, units = 0, dimension = 0;
  const float* parameters = nullptr;  ///< of the block
  const float* packed = nullptr;      ///< weights.h; of hypernets in TimeArrays
  std::size_t packed_size = 0;
};

/// On the device; [groups][units] each, unless said otherwise.
struct TimeArrays {
  float* time = nullptr;                                       ///< [groups]
  float *gate = nullptr, *offset = nullptr, *shift = nullptr;  ///< g, g ⊙ b + s, s
  float* packed = nullptr;  ///< hypernets: [groups][packed_size], as weights.h has them
};

/// Of a closed trace at one t or for all: c (H₁), or Rᵀ (H₂, H₁), M (H₂, H₁) and Mᵀ (H₁, H₂), where
/// tr = cᵀ d₁ or d₂ᵀ M d₁ (docs/mathematics.md); one set a group where the output is gated.
struct ClosedArrays {
  float *c = nullptr, *r = nullptr, *m = nullptr, *m_transposed = nullptr;
};

/// Fills `times` of the working groups for stage time c. `layers` are those of the net.
void set_times(const NetArrays& net, const std::vector<Layer>& layers, const Groups& groups,
               double c, const TimeArrays& times, const Stream& stream);

/// Fills `closed` for `count` sets of output gates, `gate_stride` apart (null: ones).
void set_closed(const NetArrays& net, const std::vector<Layer>& layers, const float* output_gate,
                int gate_stride, int count, const ClosedArrays& closed, const Stream& stream);

}  // namespace ffjord::cuda
