// What a flow is: a list of blocks in data → base order. Plain data; knows no numbers but
// constants.
#pragma once

#include <cstddef>
#include <optional>
#include <variant>
#include <vector>

#include "core/net_plan.h"

namespace ffjord {

struct Net {
  std::vector<int> hidden;  ///< widths (dense) or channels (convolutional) of the hidden layers
  LayerKind layer = LayerKind::ConcatSquash;
  Activation activation = Activation::Tanh;  ///< after every layer but the last
  bool residual = false;                     ///< f(z) − z in place of f(z)
  /// Empty: dense layers. Else one a layer.
  std::vector<Convolution> convolutions;
  /// Such nets side by side, each on the image squeezed once more than the one before; f is their
  /// sum. 1: the image as it is.
  int scales = 1;
  /// W of the last layer starts at zero, so that f starts as its bias (Finlay et al. 2020).
  bool zero_last = false;
  /// Power iterations a step of spectral normalisation: every weight matrix acts as W/σ, σ its
  /// largest singular value; 0: weights as they are.
  int spectral_norm = 0;

  bool convolutional() const { return !convolutions.empty(); }
};

struct Cnf {
  double time = 0.5;  ///< initial end time T
  bool train_time = false;
  Net net;
};
/// Moving batch norm: y = (x − m) / sqrt(v + 1e-4) · exp(w) + b; `lag` as in the reference.
struct BatchNorm {
  double lag = 0;
};
/// y = logit(α + (1 − 2α) x)
struct Logit {
  double alpha = 1e-6;
};
/// y = x − 0.5
struct ZeroMean {};
/// y = (x − mean) / scale, one number an element of a sample
struct Standardize {
  std::vector<double> mean, scale;
};
/// Each element from its own interval onto the line; ±infinity where an interval has no end. y is
/// log(x − lower), −log(upper − x), logit((x − lower) / (upper − lower)), or x itself.
struct Support {
  std::vector<double> lower, upper;
};
/// y = W (x − mean), W (D, D) lower triangular, row-major, with a positive diagonal
struct Whiten {
  std::vector<double> mean, matrix;
};
/// (c, h, w) → (4c, h/2, w/2): out[4c + 2a + b, i, j] = in[c, 2i + a, 2j + b]
struct Squeeze {};
/// The first half of the channels goes on, the second half is factored out to the base.
struct Split {};

using Block =
    std::variant<Cnf, BatchNorm, Logit, ZeroMean, Standardize, Support, Whiten, Squeeze, Split>;

/// Numbers c that belong to a row and that every net depends on, for a density p(x | c). They join
/// the bias of the first layer, b + V c, as if they were concatenated to its input; with `gates`
/// also the gates of the hidden layers, σ(a t + q + U c) (PointFlow, Yang et al. 2019, appendix). c
/// is constant along a trajectory.
struct Conditioning {
  int size = 0;  ///< C; 0: the density is unconditional
  bool gates = false;
  /// c is itself what is added, to every layer: the numbers that an encoder makes of an image. They
  /// are β (out) of each layer, or with a rank U (in, k), V (k, out) and β of each layer,
  /// row-major: y = W x + b + (x U) V + β.
  bool amortised = false;
  int rank = 0;  ///< k
};

/// C of an amortised context of a dense net on samples of this size.
int amortised_size(const Net& net, int dimension, int rank);

/// Whether a block maps whole rows, each by itself, by the numbers of its description alone: no
/// weights, no statistics, no parts set aside.
bool is_fixed(const Block& block);

/// Whether there are rows that a block is not defined at.
bool is_bounded(const Block& block);

struct FlowDescription {
  std::vector<int> shape;  ///< one sample's
  std::vector<Block> blocks;
  Conditioning context = {};
};

/// Throws Error(InvalidArgument) with the block's index and a remedy; returns the shape before each
/// block, and after the last one (of the part that was never split off).
std::vector<std::vector<int>> validate(const FlowDescription& flow);

/// Number of elements of a sample of this shape.
std::size_t element_count(const std::vector<int>& shape);

/// The convolution that a number stands for, in files and options: 1 (3×3), 0 (1×1), 2 (4×4, halves
/// the image) or −2 (4×4 transposed, doubles it).
std::optional<Convolution> find_convolution(int stride);

/// The layers of a net that `validate` has nothing against, at samples of this shape.
NetPlan plan_net(const Net& net, const std::vector<int>& shape, const Conditioning& context);

/// The plans of a flow's CNF blocks. Throws as `validate`.
std::vector<NetPlan> plan_nets(const FlowDescription& flow);

}  // namespace ffjord
