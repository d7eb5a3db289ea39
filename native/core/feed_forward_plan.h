// Feed-forward nets outside of a flow, an encoder or a decoder: what a caller describes, and the
// plan that every engine reads. They know no time; a layer is a linear map, its activation, and
// where it is gated a second map of the same shape.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "core/initial_values.h"
#include "core/parameters.h"

namespace ffjord {

/// A dense layer flattens what it is given; its output is (units, 1, 1).
struct DenseLayer {
  int units = 1;
};
struct ConvolutionLayer {
  int channels = 1;
  Convolution convolution;
};
/// What the description says of a layer: y = σ(W x + b), or gated y = σ(W x + b) ⊙ s(G x + c), s
/// the logistic function (van den Oord et al. 2016, without the tanh).
struct TrainedLayer {
  std::variant<DenseLayer, ConvolutionLayer> map;
  bool gated = false;
  Activation activation = Activation::Identity;
};
/// The same numbers as another image (channels, height, width).
struct Reshape {
  std::vector<int> shape;
};
using FeedForwardDescription = std::vector<std::variant<TrainedLayer, Reshape>>;

struct FeedForwardLayer {
  std::string name;  ///< of its tensors, which PyTorch stores as `name`.weight, or `name`.h.weight
  LinearMap map = {};
  bool gated = false;
  Activation activation = Activation::Identity;
  std::size_t weight = kAbsent, bias = kAbsent;            ///< once a layout has placed it
  std::size_t gate_weight = kAbsent, gate_bias = kAbsent;  ///< of G and c

  std::size_t size_in() const { return map.size_in(); }
  std::size_t size_out() const { return map.size_out(); }
  /// Maps of the layer: one, or that of the gate too.
  int maps() const { return gated ? 2 : 1; }
};

struct FeedForwardPlan {
  std::vector<FeedForwardLayer> layers;  ///< at least one
  std::vector<int> shape_out;            ///< (channels, height, width)

  std::size_t size_in() const { return layers.front().size_in(); }
  std::size_t size_out() const { return layers.back().size_out(); }
  double multiply_adds() const;  ///< on one sample
};

/// The layers of a net on samples of `shape`, (D) or (channels, height, width); tensors of the L-th
/// entry are called `name`.L. Throws Error(InvalidArgument), with the entry's place, for what does
/// not fit together.
FeedForwardPlan plan_feed_forward(const std::string& name,
                                  const FeedForwardDescription& description,
                                  const std::vector<int>& shape);
/// One dense layer whose tensors are called `name`.
FeedForwardPlan plan_dense(const std::string& name, int in, int out);

/// Appends the tensors of a net to a layout and returns its plan with their places.
FeedForwardPlan add_feed_forward(ParameterLayout& layout, FeedForwardPlan plan);

/// PyTorch's U(±1/√fan_in) for weights and biases.
void draw_first_weights(InitialParameters& first, const FeedForwardPlan& plan);

}  // namespace ffjord
