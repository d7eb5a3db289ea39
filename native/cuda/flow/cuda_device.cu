#include "cuda/block/device_block.h"
#include "cuda/flow/cuda_device.h"
#include "cuda/flow/device_buffer.h"
#include "cuda/flow/gather.h"

namespace ffjord::cuda {

bool CudaDevice::has_room(std::size_t count) const {
  stream_.enter();
  return count * sizeof(float) <= free_memory() / 4;
}

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

void CudaDevice::gather(std::span<const std::uint32_t> indices,
                        std::span<const RowGather<float>> gathers) {
  stream_.enter();
  DeviceArray<std::uint32_t> places(indices.size(), stream_);
  places.copy_in(indices, stream_);
  for (const auto& [rows, columns, target] : gathers)
    gather_rows(rows.data(), places.data(), indices.size(), columns, target.data(), stream_);
}

PendingMeans CudaDevice::likelihood(const BaseRows<const float>& rows) {
  stream_.enter();
  if (!likelihood_) likelihood_.emplace(stream_);
  return likelihood_->means(rows);
}

void CudaDevice::seed_likelihood(const LikelihoodBar& bar, std::span<const float> z,
                                 const BaseRows<float>& bars) {
  stream_.enter();
  write_likelihood_bars(bar, z, bars, stream_);
}

}  // namespace ffjord::cuda
