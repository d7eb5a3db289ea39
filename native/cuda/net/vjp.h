// The divergence as (εᵀJ)·ε: ε is pulled back through the layers of a pass without tangents.
#pragma once

#include "cuda/net/net_time.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

/// `to` (B, out) ← `from` ⊙ σ'(z) ⊙ g of one layer.
struct SlopeArguments {
  Layer layer;
  Groups groups;
  int batch = 0;
  TimeArrays times;
  const float* beta = nullptr;
  const float* value = nullptr;  ///< a (B, out)
  const float* z = nullptr;
  const float* from = nullptr;
  float* to = nullptr;
};
void scale_by_slopes(const SlopeArguments& arguments, const Stream& stream);

/// divergence (B), `stride` apart, += weight · (v · ε) of each row.
struct RowProducts {
  Groups groups;
  int batch = 0, dimension = 0;
  float weight = 1;
  TapeSlot slot;               ///< of v
  const float* v = nullptr;    ///< (B, D)
  const float* eps = nullptr;  ///< (B, D)
  float* divergence = nullptr;
  int stride = 1;
};
void add_products(const RowProducts& arguments, const Stream& stream);

}  // namespace ffjord::cuda
