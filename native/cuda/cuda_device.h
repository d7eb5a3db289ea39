// A card as the device of a flow: its weights, gradients and optimizer state stay there.
#pragma once

#include <memory>
#include <optional>

#include "core/flow_device.h"
#include "cuda/flow_stream.h"
#include "cuda/optimizer.h"

namespace ffjord::cuda {

class CudaDevice : public FlowDevice<float> {
 public:
  explicit CudaDevice(int index) : stream_(index) {}

  std::unique_ptr<ContinuousBlock<float>> make_block(const BlockContext<float>& context) override;
  std::unique_ptr<FlatBuffer<float>> make_buffer(std::size_t count) override;
  double step(const OptimizerOptions& options, const ParameterLayout& layout,
              const OptimizerArrays<float>& arrays) override;

 private:
  const FlowStream stream_;
  std::optional<DeviceOptimizer> optimizer_;  // from the first step on
};

}  // namespace ffjord::cuda
