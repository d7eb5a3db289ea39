// What the context of a batch makes of a net: once before a solve, and once after its pullback.
#pragma once

#include <span>
#include <vector>

#include "cuda/net/context_map.h"
#include "cuda/step/control.h"

namespace ffjord::cuda {

class BatchContext {
 public:
  /// `context` (B, C) in the device's memory, which outlives this; empty where there is none.
  BatchContext(const ContextMap& map, std::span<const float> context, std::size_t batch,
               const Stream& stream)
      : map_(map),
        stream_(stream),
        batch_(static_cast<int>(batch)),
        group_(context.empty() ? 0 : 1, stream),
        context_(context.data()),
        terms_(context.empty() ? 0 : batch * map.terms(), stream) {
    if (context.empty()) return;
    place_groups(rows().groups, 0.0, stream);
    map.enter(rows(), terms_.data(), stream);
  }

  /// (B, P); null without a context.
  const float* terms() const { return terms_.data(); }

  /// Cotangents of the terms (B, P), zero at first; null without a context.
  float* clear_bars() {
    bars_ = DeviceArray<float>(terms_.size(), stream_);
    bars_.fill(0, stream_);
    return bars_.data();
  }

  /// What they say of the weights, added to `gradient` on the device (null: not wanted), and of the
  /// context, added to `context_bar` (B, C; may be empty).
  void pull(float* gradient, std::span<float> context_bar) {
    if (bars_.empty()) return;
    DeviceArray<float> bars(context_bar.size(), stream_);
    map_.pull(rows(), bars_.data(), gradient, bars.data(), stream_);
    if (context_bar.empty()) return;
    std::vector<float> values(bars.size());
    bars.copy_out(values, stream_);
    stream_.synchronize();
    for (std::size_t i = 0; i < values.size(); ++i) context_bar[i] += values[i];
  }

 private:
  ContextRows rows() { return {{group_.data(), 1, batch_}, batch_, context_}; }

  const ContextMap& map_;
  const Stream& stream_;
  const int batch_;
  DeviceArray<Group> group_;
  const float* const context_;
  DeviceArray<float> terms_, bars_;
};

}  // namespace ffjord::cuda
