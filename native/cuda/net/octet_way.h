// Which products of a layer are made of prepared operands, and how. All others go by the loaders of
// operands.h: hyper and blend, whose weights change with t; rows that step by themselves, or few of
// them; convolutions of another geometry than 1 × 1 and 3 × 3 of stride 1 between equal images;
// divergences by VJP, and what the choices below leave over.
#pragma once

#include "cuda/net/few_channels.h"
#include "cuda/net/layer.h"

namespace ffjord::cuda {

enum class OctetWay {
  None,
  Depth,       ///< a sum over taps and channels
  TapUnits,    ///< taps are units (octet_tile.h)
  FewChannels  ///< in float32 (few_channels.h)
};

/// Of the product by W, and by Wᵀ.
OctetWay octet_way(const Layer& layer, const CudaOptions& options);
OctetWay octet_way_back(const Layer& layer, const CudaOptions& options);

/// The image that a layer of 3 × 3 keeps, at a stride of 1; of all others one without pixels.
Plane kept_image(const Layer& layer);

/// Whether rows are such as take one of these ways.
bool take_octets(const Groups& groups, int rows);

/// Where the pixels, or the rows, of what a layer leaves lie.
RowLines lines_of(const Layer& layer, int samples);

/// W and Wᵀ as they are prepared; without lines where nothing is.
OctetLines octet_weights(const Layer& layer, const CudaOptions& options);
OctetLines octet_weights_back(const Layer& layer, const CudaOptions& options);

/// Rows of what a layer reads, times W; of the cotangents of its (z, u), times Wᵀ.
OctetFactors factors_of(const Layer& layer, const OctetRows& rows, const OctetLines& weights);
OctetFactors factors_back(const Layer& layer, const OctetRows& rows, const OctetLines& weights);

}  // namespace ffjord::cuda
