// Memory of the device, and host memory that is copied without waiting.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "core/errors.h"
#include "cuda/device/stream.h"

namespace ffjord::cuda {

namespace detail {

inline void* allocate(std::size_t bytes, const Stream& stream) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocAsync(&memory, bytes, stream.get());
  if (status != cudaErrorMemoryAllocation) {
    check(status, "memory of the device");
    return memory;
  }
  cudaGetLastError();
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "memory of the device");
  const auto megabytes = [](std::size_t count) {
    return std::to_string((count + (1u << 20) - 1) >> 20) + " MiB";
  };
  throw Error(ErrorCode::OutOfMemory,
              "the device is out of memory: asked for " + megabytes(bytes) + ", " +
                  megabytes(free) + " of " + megabytes(total) +
                  " are free; use smaller batches, gradient 'adjoint', or device 'cpu'");
}

}  // namespace detail

/// Bytes that an array on the current device may have: what is free, and what was given back but is
/// held for the next use (FlowStream).
inline std::size_t free_memory() {
  int device = 0;
  std::size_t free = 0, total = 0;
  std::uint64_t held = 0, used = 0;
  cudaMemPool_t pool;
  check(cudaGetDevice(&device), "device");
  check(cudaMemGetInfo(&free, &total), "memory of the device");
  check(cudaDeviceGetDefaultMemPool(&pool, device), "memory pool");
  check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &held), "memory pool");
  check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used), "memory pool");
  return free + (held - used);
}

/// An array on the device that lives in the order of a stream: it may be used there at once, and is
/// given back when the stream has come past everything put on it before the end of its life.
template <class T>
class DeviceArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  DeviceArray() = default;
  /// Values are undefined. `stream` outlives the array.
  DeviceArray(std::size_t count, const Stream& stream)
      : data_(count == 0 ? nullptr : static_cast<T*>(detail::allocate(count * sizeof(T), stream))),
        size_(count),
        stream_(&stream) {}
  ~DeviceArray() {
    if (data_) cudaFreeAsync(data_, stream_->get());
  }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        stream_(other.stream_) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(stream_, other.stream_);
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// Copies from the host. Pageable memory may be reused on return; pinned memory once the stream
  /// is past.
  void copy_in(std::span<const T> values, const Stream& stream, std::size_t offset = 0) {
    copy(data_ + offset, values.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream);
  }
  /// Copies to the host. Pageable memory is written on return; pinned memory once the stream is
  /// past.
  void copy_out(std::span<T> values, const Stream& stream, std::size_t offset = 0) const {
    copy(values.data(), data_ + offset, values.size_bytes(), cudaMemcpyDeviceToHost, stream);
  }
  void copy_from(const DeviceArray& source, const Stream& stream) {
    copy(data_, source.data_, source.size_ * sizeof(T), cudaMemcpyDeviceToDevice, stream);
  }
  /// A copy of values in the device's memory.
  static DeviceArray copy_of(std::span<const T> values, const Stream& stream) {
    DeviceArray array(values.size(), stream);
    copy(array.data_, values.data(), values.size_bytes(), cudaMemcpyDeviceToDevice, stream);
    return array;
  }
  /// Sets every byte.
  void fill(int byte, const Stream& stream) {
    if (size_ > 0)
      check(cudaMemsetAsync(data_, byte, size_ * sizeof(T), stream.get()), "filling memory");
  }

 private:
  static void copy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind,
                   const Stream& stream) {
    if (bytes > 0) check(cudaMemcpyAsync(target, source, bytes, kind, stream.get()), "copy");
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  const Stream* stream_ = nullptr;
};

/// Host memory that the device copies from and to while the host goes on.
template <class T>
class PinnedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  PinnedArray() = default;
  explicit PinnedArray(std::size_t count) : size_(count) {
    void* memory = nullptr;
    if (count > 0) check(cudaMallocHost(&memory, count * sizeof(T)), "pinned memory");
    data_ = static_cast<T*>(memory);
  }
  ~PinnedArray() {
    if (data_) cudaFreeHost(data_);
  }
  PinnedArray(PinnedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PinnedArray& operator=(PinnedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  std::size_t size() const { return size_; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ffjord::cuda
