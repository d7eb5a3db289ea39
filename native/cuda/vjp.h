// The divergence as (εᵀJ)·ε: ε is pulled back through the layers of a pass without tangents.
#pragma once

#include "cuda/net_time.h"

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

/// divergence (B), `stride` apart, += weight · (v · ε) of each row; v, ε (B, D).
void add_products(const Groups& groups, int batch, int dimension, float weight, const float* v,
                  const float* eps, float* divergence, int stride, const Stream& stream);

}  // namespace ffjord::cuda
