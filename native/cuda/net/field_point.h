// Where a net is evaluated, and what its pullback leaves.
#pragma once

#include "cuda/net/context_map.h"
#include "cuda/step/stage_point.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

/// Rows of groups, each at its own t + c h.
struct FieldPoint {
  Groups groups;
  double c = 0;
  int batch = 0;
  StagePoint z;                  ///< holds its values after an evaluation
  const float* eps = nullptr;    ///< (K, B, D) or (K, B, width); null for exact traces
  float direction = 1;           ///< of the regularisers' rates
  const float* terms = nullptr;  ///< (B, P): what a context adds to each row's net (context_map.h)
  TapeSlot slot;
};

struct FieldTargets {
  float* z_bar = nullptr;  ///< (B, z_bar_stride), overwritten
  int z_bar_stride = 0;
  float sign = 1;             ///< of z̄
  float* gradient = nullptr;  ///< of the block's parameters, added to; null: not wanted
  bool times = false;         ///< fills scratch.time_bars
  TermsBar terms;             ///< of a context
};

}  // namespace ffjord::cuda
