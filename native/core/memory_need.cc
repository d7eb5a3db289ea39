#include "core/memory_need.h"

#include <algorithm>
#include <cmath>

namespace ffjord {
namespace {

// A step of training takes them at most on the CPU engine: its peak was measured for nets of many
// shapes.
constexpr double kLanes = 16;  // matrices are padded to so many rows at most
constexpr double kTileRows = 64;
constexpr double kArrays = 42;  // a layer has six for each of dopri5's seven stages

double padded(double count) { return kLanes * std::ceil(count / kLanes); }

// W and Wᵀ as products read them, and sums of W̄: of a thread, of all, and in the order of W.
double packed_size(const Parameter& parameter) {
  const double rows = double(parameter.shape.front()), columns = double(parameter.size) / rows;
  return 3 * padded(rows) * columns + 2 * rows * padded(columns);
}

// Of images a pass takes 32 columns in four arrays a layer; evaluations of two passes, which are
// kept for each of dopri5's seven stages, up to 2²³ numbers.
double image_tile_size(double elements) {
  constexpr double kPassColumns = 4 * 32, kMostKept = 8 << 20;
  const double pass = kPassColumns * elements;
  return pass + 7 * std::min(2 * pass, kMostKept);
}

// An image stands in margins of zeros, as wide on both sides together as a filter that reads it.
double in_margins(int channels, const Plane& plane, const Plane& kernel) {
  return double(channels) * (plane.height + kernel.height) * (plane.width + kernel.width);
}

double tile_size(const NetPlan& net) {
  if (!net.convolutional()) {
    double elements = double(net.size_in());
    for (const LayerPlan& layer : net.layers) elements += double(layer.map.size_out());
    return kArrays * elements * kTileRows;
  }
  double elements = 0;
  for (const LayerPlan& layer : net.layers) {
    const Plane& kernel = layer.map.convolution.kernel;
    elements += in_margins(layer.map.channels_in, layer.map.plane_in, kernel) +
                in_margins(layer.map.channels_out, layer.map.plane_out, kernel);
  }
  return image_tile_size(elements);
}

double flat_size(const ParameterLayout& layout) {
  const double flat_buffers = layout.spectral_weights.empty() ? 6 : 8;
  double numbers = flat_buffers * double(layout.parameter_count) + double(layout.buffer_count);
  for (const Parameter& parameter : layout.parameters)
    if (parameter.role == Role::Weight) numbers += packed_size(parameter);
  return numbers;
}

// A layer keeps its output, and where it is gated both maps'; cotangents of two layers live at
// once.
double tile_size(const FeedForwardPlan& net) {
  double elements = double(net.size_in());
  for (const FeedForwardLayer& layer : net.layers)
    elements += (1.0 + layer.maps()) * double(layer.size_out());
  return 2 * elements * kLanes;
}

}  // namespace

double memory_need(const FlowLayout& layout, std::size_t real_size) {
  double numbers = flat_size(layout);
  for (const BlockOffsets& block : layout.blocks)
    if (!block.net.layers.empty()) numbers += tile_size(block.net);
  return numbers * double(real_size);
}

double memory_need(const VaeLayout& layout, std::size_t real_size) {
  double numbers = flat_size(layout);
  for (const FeedForwardPlan* net :
       {&layout.encoder, &layout.mean, &layout.variance, &layout.decoder})
    numbers += tile_size(*net);
  return numbers * double(real_size);
}

}  // namespace ffjord
