// Sums over the pixels of each sample, in a fixed order.
#pragma once

#include "cuda/device/stream.h"
#include "cuda/net/context_map.h"

namespace ffjord::cuda {

/// t̄ of samples from that of their pixels, which pull_layer leaves in parts.
struct PixelTimes {
  Groups groups;  ///< of the samples
  int batch = 0, pixels = 1, parts = 0;
  const float* pixel_bars = nullptr;  ///< [parts][B · pixels]
  float* time_bars = nullptr;         ///< (B)
};
void sum_pixel_times(const PixelTimes& arguments, const Stream& stream);

/// Cotangents of a context's terms for the units of a layer: those that each pixel has.
struct PixelTerms {
  Groups groups;
  int batch = 0, pixels = 1, units = 0;
  const float* bars = nullptr;  ///< (B, pixels, units)
  TermsBar terms;               ///< added to
  int first = 0;                ///< of the terms
};
void add_pixel_terms(const PixelTerms& arguments, const Stream& stream);

}  // namespace ffjord::cuda
