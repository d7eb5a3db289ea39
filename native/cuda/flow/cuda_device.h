// A card as the device of a flow: its rows are mapped there, and its weights, gradients and
// optimizer state stay there.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "core/flow_device.h"
#include "cuda/device/flow_stream.h"
#include "cuda/flow/likelihood.h"

namespace ffjord::cuda {

/// Makes a device whose memory is the host's.
using MakeHost = std::function<std::unique_ptr<FlowDevice<float>>()>;

class CudaDevice : public FlowDevice<float> {
 public:
  /// `make_host` makes the device of posteriors with a flow, which are computed on the host;
  /// without it there are none.
  CudaDevice(int index, const CudaOptions& options, MakeHost make_host = {})
      : stream_(index, options), make_host_(std::move(make_host)) {}

  bool is_host() const override { return false; }
  bool has_room(std::size_t count) const override;
  std::unique_ptr<FlatBuffer<float>> make_buffer(std::size_t count) override;
  void gather(std::span<const std::uint32_t> indices,
              std::span<const RowGather<float>> gathers) override;
  std::unique_ptr<DeviceImages<float>> keep_images(const ImageBytes& images,
                                                   std::span<const Block> run) override;
  void copy_columns(std::size_t batch, std::size_t count, const Columns<const float>& source,
                    const Columns<float>& target) override;

  std::unique_ptr<FlowBlock<float>> make_block(const BlockPlace<float>& place) override;
  std::unique_ptr<FeedForward<float>> make_feed_forward(
      const FeedForwardPlace<float>& place) override;
  std::unique_ptr<Posterior<float>> make_posterior(const PosteriorPlace<float>& place) override;
  std::unique_ptr<VaeTerms<float>> make_vae_terms() override;
  std::unique_ptr<Optimizer<float>> make_optimizer(const ParameterLayout& layout) override;
  PendingMeans likelihood(const BaseRows<const float>& rows) override;
  void seed_likelihood(const LikelihoodBar& bar, std::span<const float> z,
                       const BaseRows<float>& bars) override;

 private:
  const FlowStream stream_;
  const MakeHost make_host_;
  std::optional<DeviceLikelihood> likelihood_;  // from the first one on
};

}  // namespace ffjord::cuda
