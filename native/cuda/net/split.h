// Splits what no layer has split: what comes into a net, and its weights (octets.h).
#pragma once

#include "cuda/net/layer_forward.h"
#include "cuda/product/octets.h"

namespace ffjord::cuda {

/// Whether a layer's product takes prepared operands: dense, of weights that do not change with t,
/// deep enough for the tensor cores, and of rows that step together.
bool takes_octets(const Layer& layer, const CudaOptions& options);
bool takes_octets(const Layer& layer, const Groups& groups, int rows, const CudaOptions& options);
/// The same of the product by Wᵀ.
bool takes_octets_back(const Layer& layer, const CudaOptions& options);

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

/// Weights (lines, depth), one for all.
void split_weights(const float* weights, const OctetLines& octets, const Stream& stream);

}  // namespace ffjord::cuda
