#include "cuda/cuda_device.h"
#include "cuda/device_block.h"
#include "cuda/device_buffer.h"

namespace ffjord::cuda {

std::unique_ptr<ContinuousBlock<float>> CudaDevice::make_block(const BlockContext<float>& context) {
  return std::make_unique<DeviceBlock>(context, stream_);
}

std::unique_ptr<FlatBuffer<float>> CudaDevice::make_buffer(std::size_t count) {
  return std::make_unique<DeviceBuffer>(count, stream_);
}

double CudaDevice::step(const OptimizerOptions& options, const ParameterLayout& layout,
                        const OptimizerArrays<float>& arrays) {
  if (!optimizer_) optimizer_.emplace(layout, stream_);
  return optimizer_->step(options, arrays);
}

}  // namespace ffjord::cuda
