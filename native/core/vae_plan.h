// What a variational autoencoder is: its description, plain data, and the plans of its parts in one
// parameter layout, under the names of the published programs (rtqichen/ffjord, vae_lib).
#pragma once

#include <limits>
#include <vector>

#include "core/feed_forward_plan.h"
#include "core/posterior_plan.h"

namespace ffjord {

/// p(x | z): a probability a number of x, which lie in [0, 1]; or 256 classes a number, k/255.
enum class Likelihood { Bernoulli, Categorical };
inline constexpr std::size_t kClasses = 256;

/// q(z0 | x) = N(mean, variance), variance = softplus of what the encoder says, within bounds.
struct VarianceBounds {
  double least = 0, most = std::numeric_limits<double>::infinity();
};

struct VaeDescription {
  std::vector<int> shape;  ///< of an image: (channels, height, width), or (D)
  Likelihood likelihood = Likelihood::Bernoulli;
  int latent = 1;                  ///< L
  FeedForwardDescription encoder;  ///< image → h
  FeedForwardDescription decoder;  ///< z, as (L, 1, 1) → maps
  FeedForwardDescription head;     ///< maps → logits, (D), or (256, D)
  PosteriorKind posterior = NoFlow();
  VarianceBounds variance;
};

/// The layout of a model. Throws Error(InvalidArgument) for parts that do not fit together.
struct VaeLayout : ParameterLayout {
  explicit VaeLayout(const VaeDescription& description);

  std::size_t image_size() const { return encoder.size_in(); }  ///< D
  std::size_t condition() const { return encoder.size_out(); }  ///< H

  FeedForwardPlan encoder;         ///< q_z_nn.L
  FeedForwardPlan mean, variance;  ///< h → mean, and what softplus makes the variance of
  FeedForwardPlan decoder;         ///< p_x_nn.L, then p_x_mean.L
  PosteriorPlan posterior;
};

/// First weights, as PyTorch draws those of such layers.
std::vector<double> initial_parameters(const VaeLayout& layout, std::uint64_t seed);

}  // namespace ffjord
