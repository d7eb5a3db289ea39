// Products without an activation: C = α A B (+ C). The rows of a convolution's are pixels.
#pragma once

#include "cuda/device/stream.h"
#include "cuda/net/taps.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

struct MultiplyArguments {
  Groups groups;
  int batch = 0, channels = 1;
  int depth = 0, units = 0;
  TapeSlot slot;                ///< of A and C
  bool expanded = false;        ///< the depth is twice that of A, which is followed by t A
  Taps taps;                    ///< of a convolution, of which `depth` is the taps'
  const float* a = nullptr;     ///< (channels, B, depth), of a convolution (channels, B, pixels, C)
  const float* b = nullptr;     ///< (expanded depth, units)
  std::size_t b_stride = 0;     ///< between groups; 0: one for all
  const float* time = nullptr;  ///< [groups], where expanded
  float* c = nullptr;           ///< (channels, B, c_stride), the first `units` columns
  int c_stride = 0;
  float alpha = 1;
  bool adds = false;
};

void multiply(const MultiplyArguments& arguments, const Stream& stream);

}  // namespace ffjord::cuda
