// Which arithmetic large products take: one place, by name.
#pragma once

namespace ffjord::cuda {

/// FFJORD_CUDA_PRODUCTS names one; without it Half3 is taken, of the fewest operations (fp16x3).
enum class Products {
  Float32,         ///< float32: on the ordinary multipliers (product.h)
  Half3,           ///< fp16x3: three float16 products each (half_product.h)
  WarpgroupHalf3,  ///< the same by warpgroups, where the card has them
};

/// Whether the current device multiplies by warpgroups: of compute capability 9.0, with code for
/// sm_90a.
bool has_warpgroup_products();

/// What is taken on the current device. Cards before compute capability 8.0 have float32 alone.
Products chosen_products();

}  // namespace ffjord::cuda
