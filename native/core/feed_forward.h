// A feed-forward net on a device, as a model calls it: FlowDevice::make_feed_forward makes it, and
// it works in the memory of that device.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/feed_forward_plan.h"
#include "core/slots.h"

namespace ffjord {

/// What an application leaves for its pullback.
class FeedForwardTape {
 public:
  virtual ~FeedForwardTape() = default;
};

/// Rows of a pullback, in the device's memory.
template <class Real>
struct FeedForwardBars {
  std::size_t batch = 0;
  std::span<const Real> x;      ///< (B, in), as applied to
  std::span<const Real> y_bar;  ///< (B, out)
  std::span<Real> x_bar;        ///< (B, in), added to; empty: not wanted
  std::span<Real> gradients;    ///< flat buffer, added to; empty: not wanted
  BatchShare share = {};        ///< of a batch that several processes share
};

template <class Real>
class FeedForward {
 public:
  virtual ~FeedForward() = default;

  /// Must be called after the weights changed and before the next use.
  virtual void parameters_changed() {}

  /// x (B, in) → y (B, out), written; both in the device's memory. Returns null without
  /// `keep_tape`; with it x keeps its place and values until the pullback.
  virtual std::unique_ptr<FeedForwardTape> apply(std::size_t batch, std::span<const Real> x,
                                                 std::span<Real> y, bool keep_tape) = 0;
  virtual void pullback(const FeedForwardTape& tape, const FeedForwardBars<Real>& bars) = 0;
};

/// What a net is made of: its plan, and the flat buffer of weights in the memory of its device.
/// Both outlive it.
template <class Real>
struct FeedForwardPlace {
  const FeedForwardPlan& plan;
  std::span<const Real> parameters;
};

}  // namespace ffjord
