// A flat buffer on the device, and the copy of it that the host asks for.
#pragma once

#include <string>
#include <vector>

#include "core/device_values.h"
#include "core/flow_device.h"
#include "cuda/device/flow_stream.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {

class DeviceBuffer : public FlatBuffer<float>, public DeviceValues {
 public:
  /// Starts with zeros.
  DeviceBuffer(std::size_t count, const FlowStream& stream);

  std::span<float> values() override;
  std::span<const float> on_host() const override;
  std::vector<float> at(std::span<const std::size_t> places) const override;
  void assign(std::span<const float> values) override;
  void fill_zero() override;
  void add(std::span<const float> values) override;
  void sum(SharedSums& sums) override { sums.sum(static_cast<DeviceValues&>(*this)); }

  std::size_t count() const override { return values_.size(); }
  float* on_card() override { return values().data(); }
  void* stream() const override { return stream_.get(); }
  bool is_done() const override { return stream_.is_done(); }
  std::string card() const override { return stream_.card(); }
  void enter() const override { stream_.enter(); }

 private:
  const FlowStream& stream_;
  DeviceArray<float> values_;
  mutable std::vector<float> copy_;  // on the host
  mutable bool copy_is_current_ = false;
  mutable PinnedArray<float> few_;  // of `at`
};

}  // namespace ffjord::cuda
