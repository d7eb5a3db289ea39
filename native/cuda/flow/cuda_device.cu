#include "core/hosted_posterior.h"
#include "core/split_block.h"
#include "cuda/block/device_block.h"
#include "cuda/flow/batch_norm_block.h"
#include "cuda/flow/columns.h"
#include "cuda/flow/cuda_device.h"
#include "cuda/flow/device_buffer.h"
#include "cuda/flow/element_block.h"
#include "cuda/flow/feed_forward.h"
#include "cuda/flow/gather.h"
#include "cuda/flow/image_rows.h"
#include "cuda/flow/optimizer.h"
#include "cuda/flow/squeeze_block.h"
#include "cuda/flow/vae_terms.h"
#include "cuda/flow/whiten_block.h"

namespace ffjord::cuda {

bool CudaDevice::has_room(std::size_t count) const {
  stream_.enter();
  return count * sizeof(float) <= free_memory() / 4;
}

std::unique_ptr<FlatBuffer<float>> CudaDevice::make_buffer(std::size_t count) {
  return std::make_unique<DeviceBuffer>(count, stream_);
}

void CudaDevice::gather(std::span<const std::uint32_t> indices,
                        std::span<const RowGather<float>> gathers) {
  stream_.enter();
  DeviceArray<std::uint32_t> places(indices.size(), stream_);
  places.copy_in(indices, stream_);
  for (const auto& [rows, columns, target] : gathers)
    gather_rows(rows.data(), places.data(), indices.size(), columns, target.data(), stream_);
}

std::unique_ptr<DeviceImages<float>> CudaDevice::keep_images(const ImageBytes& images,
                                                             std::span<const Block> run) {
  stream_.enter();
  return cuda::keep_images(images, run, stream_);
}

void CudaDevice::copy_columns(std::size_t batch, std::size_t count,
                              const Columns<const float>& source, const Columns<float>& target) {
  stream_.enter();
  cuda::copy_columns(batch, count, source, target, stream_);
}

std::unique_ptr<FlowBlock<float>> CudaDevice::make_block(const BlockPlace<float>& place) {
  stream_.enter();
  const Block& block = place.block;
  if (std::holds_alternative<Cnf>(block)) return std::make_unique<DeviceBlock>(place, stream_);
  if (std::holds_alternative<BatchNorm>(block)) return make_batch_norm_block(place, stream_);
  if (std::holds_alternative<Split>(block)) return std::make_unique<SplitBlock<float>>(place);
  if (std::holds_alternative<Squeeze>(block)) return make_squeeze_block(place, stream_);
  if (std::holds_alternative<Whiten>(block)) return make_whiten_block(place, stream_);
  return make_element_block(place, stream_);
}

std::unique_ptr<FeedForward<float>> CudaDevice::make_feed_forward(
    const FeedForwardPlace<float>& place) {
  return cuda::make_feed_forward(place, stream_);
}

std::unique_ptr<Posterior<float>> CudaDevice::make_posterior(const PosteriorPlace<float>& place) {
  if (!make_host_ || std::holds_alternative<NoFlow>(place.plan.kind))
    return FlowDevice::make_posterior(place);
  return std::make_unique<HostedPosterior<float>>(place, make_host_());
}

std::unique_ptr<VaeTerms<float>> CudaDevice::make_vae_terms() {
  return cuda::make_vae_terms(stream_);
}

std::unique_ptr<Optimizer<float>> CudaDevice::make_optimizer(const ParameterLayout& layout) {
  stream_.enter();
  return std::make_unique<DeviceOptimizer>(layout, stream_);
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
