#include "core/vae_plan.h"

#include <utility>

#include "core/errors.h"

namespace ffjord {
namespace {

int condition_size(const FeedForwardPlan& encoder) { return static_cast<int>(encoder.size_out()); }

FeedForwardPlan join(FeedForwardPlan first, FeedForwardPlan second) {
  for (FeedForwardLayer& layer : second.layers) first.layers.push_back(std::move(layer));
  first.shape_out = std::move(second.shape_out);
  return first;
}

}  // namespace

VaeLayout::VaeLayout(const VaeDescription& description) {
  require(description.latent > 0, "a latent space has at least 1 dimension");
  require(description.variance.least >= 0 && description.variance.least < description.variance.most,
          "bounds of the variance must be at least 0, and ascend");
  encoder = plan_feed_forward("q_z_nn", description.encoder, description.shape);
  const int h = condition_size(encoder);
  mean = plan_dense("q_z_mean", h, description.latent);
  variance = plan_dense("q_z_var.0", h, description.latent);
  decoder = plan_feed_forward("p_x_nn", description.decoder, {description.latent});
  decoder = join(decoder, plan_feed_forward("p_x_mean", description.head, decoder.shape_out));
  const bool classes = description.likelihood == Likelihood::Categorical;
  const std::size_t logits = (classes ? kClasses : 1) * image_size();
  require(decoder.size_out() == logits,
          "the decoder ends in " + std::to_string(decoder.size_out()) + " numbers, and images of " +
              std::to_string(image_size()) + " need " + std::to_string(logits) +
              (classes ? ", 256 a pixel" : "") + "; change its last layers");

  encoder = add_feed_forward(*this, std::move(encoder));
  mean = add_feed_forward(*this, std::move(mean));
  variance = add_feed_forward(*this, std::move(variance));
  decoder = add_feed_forward(*this, std::move(decoder));
  posterior.kind = description.posterior;
  posterior.latent = static_cast<std::size_t>(description.latent);
  posterior.condition = encoder.size_out();
  posterior = add_posterior(*this, std::move(posterior));
}

std::vector<double> initial_parameters(const VaeLayout& layout, std::uint64_t seed) {
  InitialParameters first(layout, seed);
  for (const FeedForwardPlan* net :
       {&layout.encoder, &layout.mean, &layout.variance, &layout.decoder})
    draw_first_weights(first, *net);
  draw_first_weights(first, layout.posterior);
  return first.values();
}

}  // namespace ffjord
