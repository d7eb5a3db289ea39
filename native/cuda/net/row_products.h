// Inner products of rows with their noise.
#pragma once

#include "cuda/device/stream.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

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
