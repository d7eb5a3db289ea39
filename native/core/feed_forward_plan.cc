#include "core/feed_forward_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/errors.h"
#include "core/flow_description.h"

namespace ffjord {
namespace {

std::string text_of(const std::vector<int>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// Sizes that no machine holds are refused before anything multiplies them.
constexpr std::size_t kMostElements = std::size_t{1} << 31;
constexpr int kLargestSide = 1 << 16, kLargestStride = 1 << 10;

class Planner {
 public:
  Planner(const std::string& name, std::vector<int> shape) : name_(name), shape_(std::move(shape)) {
    require(shape_.size() == 1 || shape_.size() == 3,
            name_ + ": samples must have shape [D] or [channels, height, width]");
    for (int size : shape_) require(size > 0, name_ + ": sizes of a sample are at least 1");
    if (shape_.size() == 1) shape_ = {shape_[0], 1, 1};
  }

  void add(const TrainedLayer& layer) {
    if (layer.activation == Activation::Swish)
      refuse("swish has a weight of its own and belongs to flows; use 'elu' or 'softplus'");
    FeedForwardLayer row;
    row.name = name_ + "." + std::to_string(entry_);
    row.gated = layer.gated;
    row.activation = layer.activation;
    row.map = std::visit([this](const auto& map) { return linear_map(map); }, layer.map);
    const Plane out = row.map.is_dense ? Plane{} : row.map.plane_out;
    shape_ = {row.map.channels_out, out.height, out.width};
    check_size();
    if (row.map.weight_count() > kMostElements) refuse("a weight of so many numbers has no room");
    plan_.layers.push_back(std::move(row));
    ++entry_;
  }

  void add(const Reshape& reshape) {
    const std::vector<int>& shape = reshape.shape;
    bool fits = shape.size() == 1 || shape.size() == 3;
    std::size_t count = 1;
    for (int size : shape) {
      fits = fits && size > 0;
      count *= static_cast<std::size_t>(std::max(size, 1));
      fits = fits && count <= kMostElements;
    }
    if (!fits || count != element_count(shape_))
      refuse("a reshape to " + text_of(shape) + " needs as many numbers as " + text_of(shape_));
    shape_ = shape.size() == 1 ? std::vector<int>{shape[0], 1, 1} : shape;
    ++entry_;
  }

  FeedForwardPlan finish() {
    require(!plan_.layers.empty(), name_ + ": a net needs at least one layer");
    plan_.shape_out = shape_;
    return std::move(plan_);
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    throw Error(ErrorCode::InvalidArgument, name_ + "[" + std::to_string(entry_) + "]: " + message);
  }

  void check_size() const {
    double count = 1;
    for (int size : shape_) count *= size;
    if (count > double(kMostElements)) refuse("a sample of so many numbers has no room");
  }

  LinearMap linear_map(const DenseLayer& dense) const {
    if (dense.units < 1) refuse("a dense layer has at least 1 unit");
    return LinearMap::dense(static_cast<int>(element_count(shape_)), dense.units);
  }

  LinearMap linear_map(const ConvolutionLayer& layer) const {
    const Convolution& at = layer.convolution;
    if (layer.channels < 1) refuse("a convolution has at least 1 channel");
    if (at.kernel.height < 1 || at.kernel.width < 1) refuse("a kernel is at least 1 by 1");
    if (at.stride < 1) refuse("a stride is at least 1");
    if (at.padding < 0) refuse("padding must not be negative");
    if (std::max({shape_[1], shape_[2], at.kernel.height, at.kernel.width, at.padding}) >
            kLargestSide ||
        at.stride > kLargestStride)
      refuse("an image or a kernel of this size has no room");
    const bool pads_output = at.output_padding != 0;
    if (pads_output && !at.transposed) refuse("output padding belongs to transposed convolutions");
    if (at.output_padding < 0 || (pads_output && at.output_padding >= at.stride))
      refuse("output padding must be less than the stride");
    const Plane plane{shape_[1], shape_[2]};
    const LinearMap map = LinearMap::convolve(at, shape_[0], layer.channels, plane);
    if (map.plane_out.height < 1 || map.plane_out.width < 1)
      refuse("the kernel " + text_of({at.kernel.height, at.kernel.width}) +
             " does not fit onto samples of shape " + text_of(shape_) +
             "; use a smaller one, or padding");
    return map;
  }

  const std::string name_;
  std::vector<int> shape_;  // (channels, height, width) before the entry
  int entry_ = 0;
  FeedForwardPlan plan_;
};

}  // namespace

double FeedForwardPlan::multiply_adds() const {
  double sum = 0;
  for (const FeedForwardLayer& layer : layers) sum += layer.maps() * layer.map.multiply_adds();
  return sum;
}

FeedForwardPlan plan_feed_forward(const std::string& name,
                                  const FeedForwardDescription& description,
                                  const std::vector<int>& shape) {
  Planner planner(name, shape);
  for (const auto& entry : description)
    std::visit([&](const auto& one) { planner.add(one); }, entry);
  return planner.finish();
}

FeedForwardPlan plan_dense(const std::string& name, int in, int out) {
  require(in > 0 && out > 0, name + ": a dense layer has at least 1 unit");
  FeedForwardPlan plan;
  plan.layers.push_back({.name = name, .map = LinearMap::dense(in, out)});
  plan.shape_out = {out, 1, 1};
  return plan;
}

FeedForwardPlan add_feed_forward(ParameterLayout& layout, FeedForwardPlan plan) {
  for (FeedForwardLayer& layer : plan.layers) {
    const std::size_t out = static_cast<std::size_t>(layer.map.channels_out);
    const auto add = [&](const std::string& name, std::size_t& weight, std::size_t& bias) {
      weight = layout.add(name + ".weight", layer.map.weight_shape(), Role::Weight);
      bias = layout.add(name + ".bias", {out}, Role::Bias);
    };
    add(layer.gated ? layer.name + ".h" : layer.name, layer.weight, layer.bias);
    if (layer.gated) add(layer.name + ".g", layer.gate_weight, layer.gate_bias);
  }
  return plan;
}

void draw_first_weights(InitialParameters& first, const FeedForwardPlan& plan) {
  for (const FeedForwardLayer& layer : plan.layers)
    for (std::size_t offset : {layer.weight, layer.bias, layer.gate_weight, layer.gate_bias})
      first.draw(offset, NoiseLaw::Uniform, 1 / std::sqrt(layer.map.fan_in()));
}

}  // namespace ffjord
