// Products with the W of any linear map, dense or a convolution, on rows of images (B, channels,
// height, width) as they lie: the tile products of product/ whose loads follow the geometry.
//
// A convolution reads a wide plane and writes a narrow one (gather), a transposed one, and Wᵀ, the
// other way round (spread). Of a stride s a spread meets one tap in s² that is not zero. FLOPs: 2 ·
// taps · channels in · channels out a row and pixel of the plane that is written, or of the narrow
// one for gradients; a tile of 64 by 64 reads 8 bytes a 32 multiply-adds from the caches.
#pragma once

#include "core/linear_map.h"
#include "cuda/device/stream.h"

namespace ffjord::cuda {

struct ImageProductArguments {
  LinearMap map;
  int batch = 0;
  const float* weight = nullptr;
  const float* bias = nullptr;  ///< (channels out), or null
  const float* in = nullptr;    ///< (B, in)
  float* out = nullptr;         ///< (B, out)
  bool adds = false;
};

/// out (B, out) ← W in + b, or added to it.
void multiply_images(const ImageProductArguments& arguments, const Stream& stream);
/// The same by Wᵀ: `in` has the rows (B, out) of the map, `out` those (B, in).
void multiply_images_transposed(const ImageProductArguments& arguments, const Stream& stream);

/// W̄ += Σ ȳ aᵀ and b̄ += Σ ȳ, of rows a (B, in) and ȳ (B, out).
void add_image_gradients(const LinearMap& map, int batch, const float* a, const float* y_bar,
                         float* weight_bar, float* bias_bar, const Stream& stream);

}  // namespace ffjord::cuda
