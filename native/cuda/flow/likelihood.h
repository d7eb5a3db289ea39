// The loss of maximum likelihood where the rows at the base lie, and its cotangents.
#pragma once

#include "core/likelihood.h"
#include "cuda/device/flow_stream.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {

class DeviceLikelihood {
 public:
  explicit DeviceLikelihood(const FlowStream& stream) : stream_(stream) {}
  /// The copy that nobody waited for must not outlive its target.
  ~DeviceLikelihood() { cudaEventSynchronize(copied_.get()); }
  DeviceLikelihood(const DeviceLikelihood&) = delete;

  /// Does what FlowDevice::likelihood does: sums in float64 in an order that depends on the shapes
  /// alone, and copies them to the host while that goes on.
  PendingMeans means(const BaseRows<const float>& rows);

 private:
  const FlowStream& stream_;
  DeviceArray<double> parts_, means_;  // [parts][1 + R], (1 + R)
  PinnedArray<double> on_host_;
  Event copied_;
};

/// Does what ffjord::seed_likelihood does, on the device.
void write_likelihood_bars(const LikelihoodBar& bar, std::span<const float> z,
                           const BaseRows<float>& bars, const Stream& stream);

}  // namespace ffjord::cuda
