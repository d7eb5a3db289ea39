// Splits what no layer has split: what comes into a net, and its weights (octets.h).
#pragma once

#include "cuda/net/layer_forward.h"
#include "cuda/product/octets.h"

namespace ffjord::cuda {

/// Rows that step together, and where their octets go.
struct SplitArguments {
  Groups groups;
  int batch = 0, tangents = 0;  ///< B, of which channels 1 … are split
  LayerInput input;
  TapeSlot slot;     ///< of inputs on the tape
  StagePoint point;  ///< of the values, where it is yet to be combined
  OctetRows rows;
};
void split_rows(const SplitArguments& arguments, const Stream& stream);

/// Weights (taps, lines, depth), one for all.
void split_weights(const float* weights, const OctetLines& octets, const Stream& stream);

}  // namespace ffjord::cuda
