// Which arithmetic large products take on a card.
#pragma once

#include "cuda/device/cuda_options.h"

namespace ffjord::cuda {

enum class Products {
  Float32,         ///< on the ordinary multipliers (product.h)
  Half3,           ///< three float16 products each (half_product.h)
  WarpgroupHalf3,  ///< the same by warpgroups, where the card has them
};

/// Whether the current device multiplies by warpgroups: of compute capability 9.0, with code for
/// sm_90a.
bool has_warpgroup_products();

/// What is taken on the current device. Cards before compute capability 8.0 have float32 alone.
Products chosen_products(const CudaOptions& options);

}  // namespace ffjord::cuda
