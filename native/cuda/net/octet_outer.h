// P = Σ_rows Σ_channels bar aᵀ (weight_gradient.h) on prepared operands. Its depth are rows, so
// that both operands are split along them: a unit has a scale for each 64 rows of a channel, and an
// octet is eight rows of a unit.
//
// Of a 3 × 3 convolution with few channels in, what each tap meets is a unit of its own, and of one
// with few out the cotangents that each tap leads to are; tap_outer.h has those of many.
#pragma once

#include "cuda/net/weight_gradient.h"
#include "cuda/product/octets.h"

namespace ffjord::cuda {

enum class OuterWay {
  Loaders,    ///< entry by entry (weight_gradient.cu)
  Rows,       ///< units of both operands as they are
  InputTaps,  ///< of the inputs (tap, channel)
  BarTaps,    ///< of the cotangents (tap, unit)
  Taps        ///< tap_outer.h
};

/// How a layer's P is made: otherwise than by loaders where rows are not summed group by group, of
/// more than a small tile of units each way, and deep enough for the tensor cores.
OuterWay outer_way(const OuterArguments& arguments, const CudaOptions& options);

/// How many slices the depth of the prepared operands of a way is cut into.
int octet_outer_slices(const OuterArguments& arguments, OuterWay way);

/// Room for both operands.
std::size_t octet_outer_floats(const OuterArguments& arguments, OuterWay way);

/// Fills the slices.
void sum_octet_products(const OuterArguments& arguments, OuterWay way, const Stream& stream);

}  // namespace ffjord::cuda
