// The numbers that a posterior has of each image: linear maps of the encoder's output, side by
// side.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/posterior_plan.h"
#include "core/small_vectors.h"

namespace ffjord {

template <class Real>
class AmortisedNumbers {
 public:
  /// `maps` and `parameters` outlive it.
  AmortisedNumbers(std::span<const FeedForwardPlan> maps, std::size_t condition,
                   std::span<const Real> parameters)
      : maps_(maps), condition_(condition), parameters_(parameters) {
    for (const FeedForwardPlan& map : maps) size_ += map.size_out();
  }

  /// A
  std::size_t size() const { return size_; }

  /// h (B, H) → (B, A)
  std::vector<Real> of(std::size_t batch, std::span<const Real> h) const {
    std::vector<Real> numbers(batch * size_);
    for_each_output([&](const FeedForwardLayer& map, std::size_t output, std::size_t place) {
      const std::span<const Real> weights = row(map, output);
      for (std::size_t b = 0; b < batch; ++b)
        numbers[b * size_ + place] = parameters_[map.bias + output] + dot<Real>(weights, row(h, b));
    });
    return numbers;
  }

  /// Adds to h̄ and, unless they are empty, to the gradients.
  void pullback(std::size_t batch, std::span<const Real> h, std::span<const Real> numbers_bar,
                std::span<Real> h_bar, std::span<Real> gradients) const {
    for_each_output([&](const FeedForwardLayer& map, std::size_t output, std::size_t place) {
      const std::span<const Real> weights = row(map, output);
      for (std::size_t b = 0; b < batch; ++b) {
        const Real bar = numbers_bar[b * size_ + place];
        add_scaled<Real>(bar, weights, h_bar.subspan(b * condition_, condition_));
        if (gradients.empty()) continue;
        gradients[map.bias + output] += bar;
        add_scaled<Real>(bar, row(h, b),
                         gradients.subspan(map.weight + output * condition_, condition_));
      }
    });
  }

 private:
  template <class Visit>
  void for_each_output(const Visit& visit) const {
    std::size_t place = 0;
    for (const FeedForwardPlan& map : maps_)
      for (std::size_t output = 0; output < map.size_out(); ++output)
        visit(map.layers.front(), output, place++);
  }
  std::span<const Real> row(const FeedForwardLayer& map, std::size_t output) const {
    return parameters_.subspan(map.weight + output * condition_, condition_);
  }
  std::span<const Real> row(std::span<const Real> h, std::size_t b) const {
    return h.subspan(b * condition_, condition_);
  }

  const std::span<const FeedForwardPlan> maps_;
  const std::size_t condition_;
  const std::span<const Real> parameters_;
  std::size_t size_ = 0;
};

}  // namespace ffjord
