// Numbers of a batch's rows, or of a data set's, on the host or where the blocks with dynamics run:
// copied where they are asked for and are not current.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/flow_device.h"

namespace ffjord {

template <class Real>
class RowValues {
 public:
  /// `device` outlives the values.
  RowValues(FlowDevice<Real>& device, std::vector<Real> values)
      : device_(&device), size_(values.size()), host_(std::move(values)), host_is_newer_(true) {}
  /// In the device's memory only, until the host asks for them.
  static RowValues zeros(FlowDevice<Real>& device, std::size_t count) {
    RowValues values(device, std::vector<Real>(device.is_host() ? count : 0, Real(0)));
    values.size_ = count;
    values.host_is_newer_ = false;
    return values;
  }

  /// Other values for the same device.
  RowValues like(std::vector<Real> values) const { return {*device_, std::move(values)}; }

  std::size_t size() const { return size_; }

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

  /// Whether the device's are newer than what the host has.
  bool on_the_device() const { return device_->is_host() || device_is_newer_; }

  /// In the device's memory.
  std::span<const Real> read_on_device() const {
    if (device_->is_host()) return host_;
    if (!buffer_) buffer_ = device_->make_buffer(size_);
    if (std::exchange(host_is_newer_, false)) buffer_->assign(host_);
    return buffer_->values();
  }
  /// The same, to be changed.
  std::span<Real> on_device() {
    if (device_->is_host()) return host_;
    read_on_device();
    device_is_newer_ = true;
    return buffer_->values();
  }

 private:
  FlowDevice<Real>* device_;
  std::size_t size_;
  mutable std::vector<Real> host_;
  mutable std::unique_ptr<FlatBuffer<Real>>
      buffer_;  // none on the host, and before it is asked for
  mutable bool host_is_newer_ = false, device_is_newer_ = false;
};

}  // namespace ffjord
