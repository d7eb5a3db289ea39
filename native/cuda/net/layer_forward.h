// One layer of a pass: (a, ȧ_k) → (σ(z), σ'(z) ⊙ u_k) with z = g ⊙ (W a) + (g ⊙ b + s), u = g ⊙ (W
// ȧ). A convolution's rows are the pixels of its output, of all samples, with channels as units.
//
// Rows of a dense layer that does not take prepared operands (octet_forward.h) are multiplied in
// float32: where few are multiplied together, and where weights change with t, hyper and blend.
#pragma once

#include "cuda/net/net_time.h"
#include "cuda/net/planes.h"
#include "cuda/net/taps.h"
#include "cuda/step/stage_point.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

/// What a layer reads.
struct LayerInput {
  const float* value = nullptr;  ///< (B, value_stride), of which the first `in` columns
  int value_stride = 0;
  const float* tangents = nullptr;  ///< (K, B, in); null: unit vectors, K = in
  bool value_on_tape = false, tangents_on_tape = false;
};

struct ForwardArguments {
  Layer layer;
  Groups groups;
  int batch = 0, tangents = 0;  ///< B, K
  LayerInput input;
  Taps taps;                      ///< of a convolution, whose input is (K, B, pixels, in)
  Planes planes;                  ///< of a convolution
  StagePoint point;               ///< of the values, where it is yet to be combined
  const float* weight = nullptr;  ///< (depth, out)
  std::size_t weight_stride = 0;  ///< between groups; 0: one for all
  TimeArrays times;
  const float* beta = nullptr;  ///< of swish
  TapeSlot slot;                ///< of what follows, and of inputs on the tape
  float* value = nullptr;       ///< (B, out)
  float* tangent = nullptr;     ///< (K, B, out)
  float* z = nullptr;           ///< (B, out); null: not kept
  float* u = nullptr;           ///< (K, B, out), with z
  float* closed = nullptr;      ///< (B, out): σ'(z) ⊙ g of a closed trace; null: not wanted
};

void run_layer(const ForwardArguments& arguments, const Stream& stream);

}  // namespace ffjord::cuda
