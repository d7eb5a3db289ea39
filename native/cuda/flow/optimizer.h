// A step of the optimizer on the device.
#pragma once

#include <array>

#include "core/optimizer.h"
#include "cuda/device/flow_stream.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {

class DeviceOptimizer : public Optimizer<float> {
 public:
  DeviceOptimizer(const ParameterLayout& layout, const FlowStream& stream);

  /// Does what optimizer_step does, on arrays of the device. The norm of the gradients alone
  /// crosses to the host, which does not wait for it here.
  PendingNorm step(const OptimizerOptions& options, const OptimizerArrays<float>& arrays) override;

 private:
  const FlowStream& stream_;
  DeviceArray<unsigned char> kinds_;  // Trained of each parameter
  DeviceArray<double> squares_;       // of parts of the gradients
  DeviceArray<double> norm_;
  struct OnHost {
    PinnedArray<double> norm{1};
    Event copied;
  };
  std::array<OnHost, 2> on_host_;  // of this step and of the one before, in turns
  int turn_ = 0;
};

}  // namespace ffjord::cuda
