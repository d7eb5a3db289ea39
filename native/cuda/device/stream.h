// Streams and events, and the one check of what CUDA returns.
#pragma once

#include <cuda_runtime.h>

#include <string>
#include <utility>

#include "core/errors.h"
#include "cuda/device/cuda_options.h"

namespace ffjord::cuda {

/// Throws Error where a call of CUDA failed; `what` names the call for the message.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // the next check starts clean
  const auto code =
      status == cudaErrorMemoryAllocation ? ErrorCode::OutOfMemory : ErrorCode::Unsupported;
  throw Error(code, std::string("CUDA, ") + what + ": " + cudaGetErrorString(status) + " (" +
                        cudaGetErrorName(status) + ")");
}

/// A point in a stream's work.
class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "event"); }
  ~Event() {
    if (event_) cudaEventDestroy(event_);
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }

  cudaEvent_t get() const { return event_; }
  /// Waits on the host until the stream has come here.
  void synchronize() const { check(cudaEventSynchronize(event_), "event"); }
  bool reached() const {
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) return false;
    check(status, "event");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Work in order, beside other streams, and the options by which it is done: never the default
/// stream, which would hold up the process's other users of the card.
class Stream {
 public:
  explicit Stream(const CudaOptions& options = {}) : options_(options) {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream");
  }
  ~Stream() {
    if (stream_) cudaStreamDestroy(stream_);
  }
  Stream(Stream&& other) noexcept
      : stream_(std::exchange(other.stream_, nullptr)), options_(other.options_) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    std::swap(options_, other.options_);
    return *this;
  }

  cudaStream_t get() const { return stream_; }
  const CudaOptions& options() const { return options_; }
  void synchronize() const { check(cudaStreamSynchronize(stream_), "work of the stream"); }
  /// Whether it is past all that was put on it.
  bool is_done() const {
    const cudaError_t status = cudaStreamQuery(stream_);
    if (status == cudaErrorNotReady) return false;
    check(status, "work of the stream");
    return true;
  }
  void record(const Event& event) const { check(cudaEventRecord(event.get(), stream_), "event"); }
  /// What is put here from now on starts after `event`.
  void wait(const Event& event) const {
    check(cudaStreamWaitEvent(stream_, event.get(), 0), "event");
  }

 private:
  cudaStream_t stream_ = nullptr;
  CudaOptions options_;
};

}  // namespace ffjord::cuda
