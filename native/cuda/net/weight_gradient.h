// Gradients of a layer's weights, biases, gates and shifts, summed over rows in an order that
// depends on the shapes alone.
#pragma once

#include "cuda/net/layer_backward.h"
#include "cuda/net/layer_forward.h"
#include "cuda/net/taps.h"

namespace ffjord::cuda {

/// P (out, depth) = Σ_rows Σ_channels bar aᵀ, in slices of rows: a slice is a group where each
/// needs its own P (hypernets, gated closed traces).
struct OuterArguments {
  Groups groups;
  int batch = 0, tangents = 0;         ///< rows of a convolution are the pixels of its output
  int out = 0, in = 0;                 ///< in: over all taps
  Taps taps;                           ///< of a convolution, whose input is (K, B, pixels, C)
  Taps taps_back;                      ///< of its transpose
  Plane image = {0, 0};                ///< that a convolution of 3 × 3 keeps; of all others none
  bool expanded = false;               ///< P of a, then that of t a: depth = 2 in
  const float* value_bar = nullptr;    ///< (B, out)
  const float* tangent_bar = nullptr;  ///< (K, B, out)
  LayerInput input;
  const float* time = nullptr;  ///< [groups]
  float* columns = nullptr;     ///< outer_columns of them; null: none are prepared
  float* slices = nullptr;      ///< [slices][out][depth]
  int slice_count = 0, slice_rows = 0;

  int depth() const { return expanded ? 2 * in : in; }
};

/// Sets slice_count and slice_rows; `each_group`: a slice for each group, of operands that are not
/// prepared.
void cut_slices(OuterArguments& arguments, bool each_group, const CudaOptions& options);
/// Room for columns, and for the slices of prepared ones.
std::size_t outer_columns(const OuterArguments& arguments, const CudaOptions& options);
std::size_t outer_slices(const OuterArguments& arguments, const CudaOptions& options);
/// Room for the slices of a batch of this size; `groups`: how many need one each, or 1.
std::size_t most_slice_floats(int batch, int out, int in, bool expanded, int groups);

void sum_outer_products(const OuterArguments& arguments, const Stream& stream);

/// gradient += what the sums say of a layer that is not a hypernet.
void add_weight_gradient(const Layer& layer, const OuterArguments& sums, float* gradient,
                         const Stream& stream);

/// gradient += cotangents of the biases, gates, shifts and β of some layers.
struct UnitSumArguments {
  const Layer* layers = nullptr;       ///< on the device
  int first_layer = 0, end_layer = 0;  ///< whose sums are added
  int first_unit = 0, end_unit = 0;
  Groups groups;  ///< of the samples
  int batch = 0;
  int units = 0, sum_tiles = 0;
  int tiles = 0;                     ///< of every layer; 0: those that pull_layer cuts it into
  bool over_pixels = false;          ///< tiles are many
  const float* unit_sums = nullptr;  ///< [kUnitSums][sum_tiles][units]
  float* gradient = nullptr;
};
void add_unit_sums(const UnitSumArguments& arguments, bool swish, const Stream& stream);

}  // namespace ffjord::cuda
