// Channels of a convolution's input that are the same for all samples: t, and the indices of rows
// and columns. They are no part of its products: what W makes of them is a map over the pixels of
// the output, which differ by how the border of zeros cuts the planes. It is made once for weights.
#pragma once

#include "cuda/device/stream.h"
#include "cuda/net/layer.h"
#include "cuda/net/taps.h"
#include "cuda/step/group.h"

namespace ffjord::cuda {

/// s(t) of a pixel and unit: time · t + coordinates.
struct Planes {
  const float* time = nullptr;         ///< (pixels, out); null: there are no planes
  const float* coordinates = nullptr;  ///< (pixels, out)
  int pixels = 1, units = 0;           ///< of the output; its channels

  __device__ std::size_t entry(int row, int unit) const {
    return std::size_t(row % pixels) * units + unit;
  }
  __device__ float time_weight(int row, int unit) const { return time[entry(row, unit)]; }
  __device__ float shift(int row, int unit, float t) const {
    const std::size_t at = entry(row, unit);
    return fmaf(time[at], t, coordinates[at]);
  }
};

/// Those of a layer that has them, in memory which `set_planes` fills: time, then coordinates.
Planes planes_of(const Layer& layer, const float* memory);
void set_planes(const Layer& layer, const Taps& taps, const float* parameters, float* memory,
                const Stream& stream);

/// gradient += what reaches W of the planes.
struct PlaneGradients {
  Layer layer;
  Taps taps;      ///< of the layer
  Groups groups;  ///< of the samples
  int batch = 0;
  const float* time = nullptr;       ///< [groups]
  const float* value_bar = nullptr;  ///< z̄ (B, pixels, out)
  float* sums = nullptr;             ///< (2, pixels, out): Σ t z̄ and Σ z̄ over samples
  float* gradient = nullptr;         ///< of the block's parameters
};
void add_plane_gradients(const PlaneGradients& arguments, const Stream& stream);

}  // namespace ffjord::cuda
