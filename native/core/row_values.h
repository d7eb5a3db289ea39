// Numbers of a batch's rows, or of a data set's, on the host or in the memory of the flow's device:
// copied where they are asked for and are not current.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/arrays.h"
#include "core/device_memory.h"

namespace ffjord {

template <class Real>
class RowValues {
 public:
  /// `memory` outlives the values.
  RowValues(DeviceMemory<Real>& memory, std::vector<Real> values)
      : memory_(&memory), size_(values.size()), host_(std::move(values)), host_is_newer_(true) {}
  /// In the device's memory only, until the host asks for them.
  static RowValues zeros(DeviceMemory<Real>& memory, std::size_t count) {
    RowValues values(memory, std::vector<Real>(memory.is_host() ? count : 0, Real(0)));
    values.size_ = count;
    values.host_is_newer_ = false;
    return values;
  }
  /// Zeros in the same memory.
  RowValues zeros_like(std::size_t count) const { return zeros(*memory_, count); }

  std::size_t size() const { return size_; }
  DeviceMemory<Real>& memory() const { return *memory_; }

  const std::vector<Real>& read() const {
    if (std::exchange(device_is_newer_, false)) {
      const std::span<const Real> values = buffer_->on_host();
      host_.assign(values.begin(), values.end());
    }
    host_.resize(size_);  // of zeros that nobody touched
    return host_;
  }
  /// To be changed.
  std::span<Real> on_host() {
    read();
    host_is_newer_ = true;
    return host_;
  }

  /// In the device's memory.
  std::span<const Real> read_on_device() const {
    if (memory_->is_host()) return host_;
    if (!buffer_) buffer_ = memory_->make_buffer(size_);
    if (std::exchange(host_is_newer_, false)) buffer_->assign(host_);
    return buffer_->values();
  }
  /// The same, to be changed.
  std::span<Real> on_device() {
    if (memory_->is_host()) return host_;
    read_on_device();
    device_is_newer_ = true;
    return buffer_->values();
  }

 private:
  DeviceMemory<Real>* memory_;
  std::size_t size_;
  mutable std::vector<Real> host_;
  mutable std::unique_ptr<FlatBuffer<Real>> buffer_;  // none before the device is asked
  mutable bool host_is_newer_ = false, device_is_newer_ = false;
};

/// Leaves the values where they are if nobody wants them.
template <class Real>
void hand_over(const RowValues<Real>& values, const Output& output) {
  if (!output.empty()) output.assign(std::span<const Real>(values.read()));
}

}  // namespace ffjord
