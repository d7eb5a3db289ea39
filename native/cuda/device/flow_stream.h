// The stream of a flow on its device.
#pragma once

#include <cstdint>
#include <string>

#include "cuda/device/stream.h"

namespace ffjord::cuda {

class FlowStream : public Stream {
 public:
  FlowStream(int device, const CudaOptions& options)
      : Stream(entered(device, options)), device_(device) {
    // Memory that is given back is kept for the next call, and not mapped anew after each wait.
    std::uint64_t kept = ~std::uint64_t{0};
    check(cudaMemPoolSetAttribute(pool(), cudaMemPoolAttrReleaseThreshold, &kept), "memory pool");
  }

  ~FlowStream() {
    cudaMemPool_t kept;
    if (cudaStreamSynchronize(get()) == cudaSuccess &&
        cudaDeviceGetDefaultMemPool(&kept, device_) == cudaSuccess)
      cudaMemPoolTrimTo(kept, 0);
  }
  FlowStream(const FlowStream&) = delete;

  /// Makes the device that of the calling thread. A flow is used by one thread at a time, but not
  /// always the same.
  void enter() const { check(cudaSetDevice(device_), "choice of the device"); }
  /// By its place on the machine's bus, as numbers of devices are each process's own.
  std::string card() const {
    char place[32] = {};
    check(cudaDeviceGetPCIBusId(place, sizeof(place), device_), "place of the device");
    return place;
  }

 private:
  cudaMemPool_t pool() const {
    cudaMemPool_t pool;
    check(cudaDeviceGetDefaultMemPool(&pool, device_), "memory pool");
    return pool;
  }
  static Stream entered(int device, const CudaOptions& options) {
    check(cudaSetDevice(device), "choice of the device");
    return Stream(options);
  }

  const int device_;
};

}  // namespace ffjord::cuda
