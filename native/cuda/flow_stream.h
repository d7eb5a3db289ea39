// The stream of a flow on its device.
#pragma once

#include "cuda/stream.h"

namespace ffjord::cuda {

class FlowStream : public Stream {
 public:
  explicit FlowStream(int device) : Stream(entered(device)), device_(device) {}

  /// Makes the device that of the calling thread. A flow is used by one thread at a time, but not
  /// always the same.
  void enter() const { check(cudaSetDevice(device_), "choice of the device"); }

 private:
  static Stream entered(int device) {
    check(cudaSetDevice(device), "choice of the device");
    return Stream();
  }

  const int device_;
};

}  // namespace ffjord::cuda
