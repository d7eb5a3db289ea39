// Where the blocks of a flow run and its weights lie: the host, or a device with memory of its own.
#pragma once

#include <memory>
#include <span>

#include "core/device_memory.h"
#include "core/errors.h"
#include "core/feed_forward.h"
#include "core/flow_block.h"
#include "core/likelihood.h"
#include "core/optimizer.h"
#include "core/posterior.h"
#include "core/vae_terms.h"

namespace ffjord {

template <class Real>
class FlowDevice : public DeviceMemory<Real> {
 public:
  /// Blocks of every kind; they live at most as long as this.
  virtual std::unique_ptr<FlowBlock<Real>> make_block(const BlockPlace<Real>& place) = 0;
  /// As make_block, of posteriors.
  virtual std::unique_ptr<Posterior<Real>> make_posterior(const PosteriorPlace<Real>& place) {
    if (!std::holds_alternative<NoFlow>(place.plan.kind))
      throw Error(ErrorCode::Unsupported, "this engine has no posterior '" +
                                              name_of(place.plan.kind) +
                                              "' yet; use device 'cpu' or 'reference'");
    return std::make_unique<NoFlowPosterior<Real>>(place);
  }
  /// The same of nets outside of a flow, and what stands between them; a device without them throws
  /// Error(Unsupported).
  virtual std::unique_ptr<FeedForward<Real>> make_feed_forward(const FeedForwardPlace<Real>&) {
    throw Error(ErrorCode::Unsupported, "this device has no feed-forward nets; use device 'cpu'");
  }
  virtual std::unique_ptr<VaeTerms<Real>> make_vae_terms() {
    throw Error(ErrorCode::Unsupported, "this device has no VAE; use device 'cpu'");
  }
  /// `layout` outlives the optimizer, and this too.
  virtual std::unique_ptr<Optimizer<Real>> make_optimizer(const ParameterLayout& layout) = 0;
  /// As Flow::likelihood, of rows in the device's memory.
  virtual PendingMeans likelihood(const BaseRows<const Real>& rows) = 0;
  /// As ffjord::seed_likelihood, in the device's memory.
  virtual void seed_likelihood(const LikelihoodBar& bar, std::span<const Real> z,
                               const BaseRows<Real>& bars) = 0;
};

}  // namespace ffjord
