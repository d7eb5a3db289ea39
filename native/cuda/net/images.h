// Images between two orders: that of a sample, (channels, rows, columns), which solvers and callers
// see, and that of a branch's products, pixel by pixel of the sample as it is squeezed for it.
#pragma once

#include <vector>

#include "cuda/device/stream.h"
#include "cuda/net/layer.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

/// Where the entries of a branch's image, pixel by pixel, lie in the sample (D).
std::vector<int> image_places(const LinearMap& first, int squeezes);

/// Rows of images, value and K tangents.
struct ImageRows {
  Groups groups;
  int batch = 0, dimension = 0, tangents = 0;
  const int* places = nullptr;  ///< image_places, on the device
  TapeSlot slot;                ///< of both sides, where they are on a tape
};

/// Into the order of a branch.
struct ImageEntry {
  ImageRows rows;
  const float* value = nullptr;  ///< (B, value_stride)
  int value_stride = 0;
  const float* tangents = nullptr;                    ///< (K, B, D); null: unit vectors, K = D
  float *value_to = nullptr, *tangents_to = nullptr;  ///< (B, D), (K, B, D)
};
void enter_images(const ImageEntry& arguments, const Stream& stream);

/// Out of it: sample ← α image, or sample += α image.
struct ImageExit {
  ImageRows rows;
  const float *value = nullptr, *tangents = nullptr;  ///< (B, D), (K, B, D)
  float* value_to = nullptr;                          ///< (B, value_stride)
  int value_stride = 0;
  float* tangents_to = nullptr;  ///< (K, B, D)
  float alpha = 1;
  bool adds = false;
};
void leave_images(const ImageExit& arguments, const Stream& stream);

}  // namespace ffjord::cuda
