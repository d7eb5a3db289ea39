#include "cuda/device/add_values.h"
#include "cuda/flow/device_buffer.h"

namespace ffjord::cuda {
DeviceBuffer::DeviceBuffer(std::size_t count, const FlowStream& stream)
    : stream_(stream), values_(count, stream) {
  fill_zero();
}

std::span<float> DeviceBuffer::values() {
  copy_is_current_ = false;
  return {values_.data(), values_.size()};
}

std::span<const float> DeviceBuffer::on_host() const {
  if (!copy_is_current_) {
    copy_.resize(values_.size());
    values_.copy_out(copy_, stream_);
    stream_.synchronize();
    copy_is_current_ = true;
  }
  return copy_;
}

std::vector<float> DeviceBuffer::at(std::span<const std::size_t> places) const {
  if (few_.size() != places.size()) few_ = PinnedArray<float>(places.size());
  for (std::size_t i = 0; i < places.size(); ++i)
    values_.copy_out(few_.span().subspan(i, 1), stream_, places[i]);
  stream_.synchronize();
  return {few_.span().begin(), few_.span().end()};
}

void DeviceBuffer::assign(std::span<const float> values) {
  copy_is_current_ = false;
  values_.copy_in(values, stream_);
}

void DeviceBuffer::fill_zero() {
  copy_is_current_ = false;
  values_.fill(0, stream_);
}

void DeviceBuffer::add(std::span<const float> values) {
  if (values.empty()) return;
  copy_is_current_ = false;
  stream_.enter();
  DeviceArray<float> more(values.size(), stream_);
  more.copy_in(values, stream_);
  add_values(more.data(), values.size(), values_.data(), stream_);
}

}  // namespace ffjord::cuda
