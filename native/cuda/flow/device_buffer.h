// A flat buffer on the device, and the copy of it that the host asks for.
#pragma once

#include <vector>

#include "core/flow_device.h"
#include "cuda/device/flow_stream.h"
#include "cuda/device/memory.h"

namespace ffjord::cuda {

class DeviceBuffer : public FlatBuffer<float> {
 public:
  /// Starts with zeros.
  DeviceBuffer(std::size_t count, const FlowStream& stream);

  std::span<float> values() override;
  std::span<const float> on_host() const override;
  std::vector<float> at(std::span<const std::size_t> places) const override;
  void assign(std::span<const float> values) override;
  void fill_zero() override;
  void add(std::span<const float> values) override;

 private:
  const FlowStream& stream_;
  DeviceArray<float> values_;
  mutable std::vector<float> copy_;  // on the host
  mutable bool copy_is_current_ = false;
  mutable PinnedArray<float> few_;  // of `at`
};

}  // namespace ffjord::cuda
