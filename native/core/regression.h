// The losses of a regression of f on a target, and what f is pulled back by.
#pragma once

#include <cstddef>
#include <span>

#include "core/engine.h"

namespace ffjord {

/// Writes the loss of each row; f (B, D) becomes its cotangent.
template <class Real>
void regress(const VelocityTarget& target, std::span<Real> f) {
  const std::size_t rows = target.losses.size(), size = f.size() / rows;
  for (std::size_t row = 0; row < rows; ++row) {
    double loss = 0;
    for (std::size_t i = row * size; i < (row + 1) * size; ++i) {
      const double miss = target.miss(f[i], i);
      loss += miss * miss;
      f[i] = static_cast<Real>(target.f_bar(miss));
    }
    target.losses[row] = loss;
  }
}

}  // namespace ffjord
