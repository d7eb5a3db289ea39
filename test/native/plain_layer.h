// A dense layer in plain loops, for posteriors of engines that are checked without their nets.
#pragma once

#include "core/feed_forward.h"

namespace checks {

template <class Real>
class PlainLayer : public ffjord::FeedForward<Real> {
 public:
  explicit PlainLayer(const ffjord::FeedForwardPlace<Real>& place)
      : layer_(place.plan.layers.front()), parameters_(place.parameters) {}

  std::unique_ptr<ffjord::FeedForwardTape> apply(std::size_t batch, std::span<const Real> x,
                                                 std::span<Real> y, bool) override {
    const std::size_t in = layer_.size_in(), out = layer_.size_out();
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t o = 0; o < out; ++o) {
        Real sum = parameters_[layer_.bias + o];
        for (std::size_t i = 0; i < in; ++i)
          sum += parameters_[layer_.weight + o * in + i] * x[b * in + i];
        y[b * out + o] = sum;
      }
    return std::make_unique<ffjord::FeedForwardTape>();
  }

  void pullback(const ffjord::FeedForwardTape&,
                const ffjord::FeedForwardBars<Real>& bars) override {
    const std::size_t in = layer_.size_in(), out = layer_.size_out();
    for (std::size_t b = 0; b < bars.batch; ++b)
      for (std::size_t o = 0; o < out; ++o) {
        const Real bar = bars.y_bar[b * out + o];
        bars.gradients[layer_.bias + o] += bar;
        for (std::size_t i = 0; i < in; ++i) {
          const std::size_t weight = layer_.weight + o * in + i;
          bars.gradients[weight] += bar * bars.x[b * in + i];
          bars.x_bar[b * in + i] += bar * parameters_[weight];
        }
      }
  }

 private:
  const ffjord::FeedForwardLayer& layer_;
  const std::span<const Real> parameters_;
};

/// As FlowDevice::make_feed_forward.
template <class Real>
std::unique_ptr<ffjord::FeedForward<Real>> make_plain_layer(
    const ffjord::FeedForwardPlace<Real>& place) {
  return std::make_unique<PlainLayer<Real>>(place);
}

}  // namespace checks
