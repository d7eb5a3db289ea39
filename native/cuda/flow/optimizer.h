// A step of the optimizer on the device.
#pragma once

#include "core/optimizer.h"
#include "cuda/device/flow_stream.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {

class DeviceOptimizer : public Optimizer<float> {
 public:
  DeviceOptimizer(const ParameterLayout& layout, const FlowStream& stream);

  /// Does what optimizer_step does, on arrays of the device. Waits for the norm of the gradients,
  /// which alone crosses to the host.
  double step(const OptimizerOptions& options, const OptimizerArrays<float>& arrays) override;

 private:
  const FlowStream& stream_;
  DeviceArray<unsigned char> kinds_;  // Trained of each parameter
  DeviceArray<double> squares_;       // of parts of the gradients
  DeviceArray<double> norm_;
  PinnedArray<double> norm_on_host_;
};

}  // namespace ffjord::cuda
