// The numbers that a posterior has of each image: dense layers of the encoder's output, whose
// outputs stand side by side. On the host, by the nets of its engine.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/flow_device.h"

namespace ffjord {

template <class Real>
class AmortisedNumbers {
 public:
  /// What an application leaves for its pullback, one a layer.
  using Tape = std::vector<std::unique_ptr<FeedForwardTape>>;

  /// All outlive it.
  AmortisedNumbers(std::span<const FeedForwardPlan> maps, std::span<const Real> parameters,
                   FlowDevice<Real>& device) {
    for (const FeedForwardPlan& map : maps) {
      layers_.push_back({device.make_feed_forward({map, parameters}), map.size_out(), size_});
      size_ += map.size_out();
    }
  }

  /// A
  std::size_t size() const { return size_; }

  void parameters_changed() {
    for (const Layer& layer : layers_) layer.net->parameters_changed();
  }

  /// h (B, H) → (B, A)
  std::vector<Real> apply(std::size_t batch, std::span<const Real> h, bool keep_tape,
                          Tape& tape) const {
    std::vector<Real> numbers(batch * size_);
    for (const Layer& layer : layers_) {
      if (layer.size == size_) {
        tape.push_back(layer.net->apply(batch, h, numbers, keep_tape));
        continue;
      }
      std::vector<Real> own(batch * layer.size);
      tape.push_back(layer.net->apply(batch, h, own, keep_tape));
      for (std::size_t b = 0; b < batch; ++b)
        std::copy_n(own.begin() + b * layer.size, layer.size,
                    numbers.begin() + b * size_ + layer.first);
    }
    return numbers;
  }

  /// Adds to h̄ and, unless they are empty, to the gradients. `h` as applied to.
  void pullback(const Tape& tape, std::size_t batch, std::span<const Real> h,
                std::span<const Real> numbers_bar, std::span<Real> h_bar,
                std::span<Real> gradients) const {
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const Layer& layer = layers_[l];
      if (layer.size == size_) {
        layer.net->pullback(*tape[l], {batch, h, numbers_bar, h_bar, gradients});
        continue;
      }
      std::vector<Real> own_bar(batch * layer.size);
      for (std::size_t b = 0; b < batch; ++b)
        std::copy_n(numbers_bar.begin() + b * size_ + layer.first, layer.size,
                    own_bar.begin() + b * layer.size);
      layer.net->pullback(*tape[l], {batch, h, own_bar, h_bar, gradients});
    }
  }

 private:
  struct Layer {
    std::unique_ptr<FeedForward<Real>> net;
    std::size_t size = 0, first = 0;  // its numbers, and the place of the first
  };

  std::vector<Layer> layers_;
  std::size_t size_ = 0;
};

}  // namespace ffjord
