// The rows of a solve as they pass along a chain of blocks: the part that still moves, and the
// parts that splits put aside on their way to the base.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/row_values.h"
#include "core/transforms.h"

namespace ffjord {

template <class Real>
struct ChainState {
  std::size_t batch = 0;
  RowValues<Real> z;                   // (B, current size)
  RowValues<Real> delta_logp;          // (B)
  RowValues<Real> regularisers;        // (B, R)
  std::vector<RowValues<Real>> aside;  // factored-out parts, (B, size) each, first split first

  /// On the host.
  TransformRows<Real> rows() {
    return {batch, z.size() / batch, z.on_host(), delta_logp.on_host()};
  }

  /// z (B, n) → z (B, kept) and one more part aside (B, n − kept).
  void split(std::size_t kept) {
    const std::size_t size = z.size() / batch, rest = size - kept;
    const std::vector<Real>& whole = z.read();
    std::vector<Real> front(batch * kept), back(batch * rest);
    for (std::size_t b = 0; b < batch; ++b) {
      std::copy_n(whole.begin() + b * size, kept, front.begin() + b * kept);
      std::copy_n(whole.begin() + b * size + kept, rest, back.begin() + b * rest);
    }
    aside.push_back(z.like(std::move(back)));
    z = z.like(std::move(front));
  }

  /// Undoes a split: the last part aside goes behind the moving part.
  void join() {
    const std::vector<Real>&front = z.read(), &back = aside.back().read();
    const std::size_t kept = front.size() / batch, rest = back.size() / batch;
    std::vector<Real> joined(batch * (kept + rest));
    for (std::size_t b = 0; b < batch; ++b) {
      std::copy_n(front.begin() + b * kept, kept, joined.begin() + b * (kept + rest));
      std::copy_n(back.begin() + b * rest, rest, joined.begin() + b * (kept + rest) + kept);
    }
    z = z.like(std::move(joined));
    aside.pop_back();
  }

  /// Puts the last part aside before the moving part: the order of z at the base.
  void collect() {
    std::swap(z, aside.back());
    join();
  }

  /// Undoes `collect`: cuts a part of `size` off the front and puts it aside.
  void set_aside(std::size_t size) {
    split(size);
    std::swap(z, aside.back());
  }
};

}  // namespace ffjord
