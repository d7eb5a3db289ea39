// With which cotangents a pullback begins: given ones, or those of maximum likelihood.
#pragma once

#include "core/chain_tape.h"
#include "core/engine.h"
#include "core/flow_device.h"

namespace ffjord {

/// Where the rows stood at the end of the tape's solve.
template <class Real>
const ChainState<Real>& end_of(const ChainTape<Real>& tape) {
  require(tape.end && tape.direction == Direction::Forward,
          "the likelihood is of a forward solve that kept its end");
  return *tape.end;
}

template <class Real>
PendingMeans likelihood_at_end(FlowDevice<Real>& device, const ChainTape<Real>& tape) {
  const ChainState<Real>& end = end_of(tape);
  return device.likelihood({end.z.read_on_device(), end.delta_logp.read_on_device(),
                            end.regularisers.read_on_device(), tape.share});
}

/// `bars` are zeros of the shapes at the end.
template <class Real>
void set_likelihood_bars(FlowDevice<Real>& device, const ChainTape<Real>& tape,
                         const LikelihoodBar& bar, ChainState<Real>& bars) {
  require(bar.weights.size() == std::size_t(tape.regularisers),
          "a likelihood needs one weight a regulariser");
  device.seed_likelihood(
      bar, end_of(tape).z.read_on_device(),
      {bars.z.on_device(), bars.delta_logp.on_device(), bars.regularisers.on_device()});
}

template <class Real>
void set_given_bars(const PullbackRequest& request, ChainState<Real>& bars) {
  require(request.z_bar.size() == bars.z.size(), "z_bar must have the shape of z");
  request.z_bar.copy_to(bars.z.on_host());
  if (!request.delta_logp_bar.empty()) {
    require(request.delta_logp_bar.size() == bars.batch, "delta_logp_bar needs one number a row");
    request.delta_logp_bar.copy_to(bars.delta_logp.on_host());
  }
  if (!request.regularisers_bar.empty()) {
    require(request.regularisers_bar.size() == bars.regularisers.size(),
            "regularisers_bar must have the shape of the regularisers");
    request.regularisers_bar.copy_to(bars.regularisers.on_host());
  }
}

}  // namespace ffjord
