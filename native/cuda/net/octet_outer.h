// P = Σ_rows Σ_channels bar aᵀ (weight_gradient.h) on prepared operands. Its depth are rows, so
// that both operands are split along them: a unit has a scale for each 64 rows of a channel, and an
// octet is eight rows of a unit.
#pragma once

#include "cuda/net/weight_gradient.h"

namespace ffjord::cuda {

/// Whether a layer's P is made so: of dense rows that are not summed group by group, more than a
/// small tile of units each way, and deep enough for the tensor cores.
bool takes_octets(const OuterArguments& arguments, const CudaOptions& options);

/// How many slices the depth is cut into.
int octet_outer_slices(int batch, int channels, int out, int in);

/// Room for both operands.
std::size_t octet_outer_floats(int batch, int channels, int out, int in);

/// Fills the slices.
void sum_octet_products(const OuterArguments& arguments, const Stream& stream);

}  // namespace ffjord::cuda
