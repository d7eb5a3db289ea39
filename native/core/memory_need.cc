#include "core/memory_need.h"

#include <cmath>

namespace ffjord {
namespace {

// As a step of training takes them at most on the CPU engine, by its peak for nets of many shapes.
constexpr double kLanes = 16;  // matrices are padded to so many rows at most
constexpr double kTileRows = 64;
constexpr double kArrays = 42;  // of every layer: six for each of dopri5's seven stages

double padded(double count) { return kLanes * std::ceil(count / kLanes); }

// W and Wᵀ as products read them, and sums of W̄: of a thread, of all, and in the order of W.
double packed_size(const Parameter& parameter) {
  const double rows = double(parameter.shape.front()), columns = double(parameter.size) / rows;
  return 3 * padded(rows) * columns + 2 * rows * padded(columns);
}

double tile_size(const Net& net, const std::vector<int>& shape) {
  double elements = 0;
  for (const auto& layer : layer_shapes(net, shape)) {
    double size = 1;
    for (int length : layer) size *= length;
    elements += size;
  }
  return kArrays * elements * (net.convolutional() ? 1 : kTileRows);
}

}  // namespace

double memory_need(const FlowDescription& flow, const ParameterLayout& layout,
                   std::size_t real_size) {
  const double flat_buffers = layout.spectral_weights.empty() ? 6 : 8;
  double numbers = flat_buffers * double(layout.parameter_count) + double(layout.buffer_count);
  for (const Parameter& parameter : layout.parameters)
    if (parameter.role == Role::Weight) numbers += packed_size(parameter);
  const auto shapes = validate(flow);
  for (std::size_t i = 0; i < flow.blocks.size(); ++i)
    if (const auto* cnf = std::get_if<Cnf>(&flow.blocks[i]))
      numbers += tile_size(cnf->net, shapes[i]);
  return numbers * double(real_size);
}

}  // namespace ffjord
