// Inner products of rows with their probes.
#pragma once

#include "cuda/device/stream.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

/// divergence (B), `stride` apart, ← start + weight · Σ_k v_k · ε_k of each row, or += the sum.
struct RowProducts {
  Groups groups;
  int batch = 0, dimension = 0;
  int probes = 1;  ///< K
  float weight = 1;
  TapeSlot slot;               ///< of v
  const float* v = nullptr;    ///< (K, B, D)
  const float* eps = nullptr;  ///< (K, B, D)
  float* divergence = nullptr;
  int stride = 1;
  bool adds = true;
  float start = 0;
};
void add_products(const RowProducts& arguments, const Stream& stream);

}  // namespace ffjord::cuda
