// A loop that the device runs by itself: a graph with a conditional WHILE node, so that the host
// does not wait within a solve.
#pragma once

#include <cuda_runtime.h>

#include <exception>
#include <functional>
#include <utility>

#include "cuda/device/intrinsics.h"
#include "cuda/device/stream.h"

namespace ffjord::cuda {

class DeviceLoop {
 public:
  /// Whether the driver has conditional nodes, as those of CUDA 13 do, which the runtime that is
  /// linked in asks for, and their bodies cooperative launches, as they have but for MPS (CUDA
  /// Programming Guide, "Conditional Node Body Graph Requirements").
  static bool supported() {
    int version = 0, device = 0, shared = 0;
    check(cudaDriverGetVersion(&version), "version of the driver");
    check(cudaGetDevice(&device), "device");
    check(cudaDeviceGetAttribute(&shared, cudaDevAttrMpsEnabled, device), "device");
    return version >= 12040 && shared == 0;
  }

  /// `body` puts kernels and copies on `stream`, which are recorded and not run; one of the kernels
  /// ends the loop by set_loop_condition(condition, false). Whatever the body's arguments point to
  /// must outlive the loop. No allocations within.
  DeviceLoop(const Stream& stream, const std::function<void(LoopCondition)>& body) {
    check(cudaGraphCreate(&graph_, 0), "graph");
    try {
      record(stream, body);
    } catch (...) {
      destroy();
      throw;
    }
  }
  ~DeviceLoop() { destroy(); }
  DeviceLoop(DeviceLoop&& other) noexcept
      : graph_(std::exchange(other.graph_, nullptr)),
        executable_(std::exchange(other.executable_, nullptr)) {}
  DeviceLoop& operator=(DeviceLoop&& other) noexcept {
    std::swap(graph_, other.graph_);
    std::swap(executable_, other.executable_);
    return *this;
  }

  /// The body runs at least once.
  void run(const Stream& stream) const {
    check(cudaGraphLaunch(executable_, stream.get()), "loop");
  }

 private:
  void record(const Stream& stream, const std::function<void(LoopCondition)>& body) {
    LoopCondition condition;
    check(cudaGraphConditionalHandleCreate(&condition, graph_, 1, cudaGraphCondAssignDefault),
          "loop's condition");
    cudaGraphNodeParams parameters{};
    parameters.type = cudaGraphNodeTypeConditional;
    parameters.conditional.handle = condition;
    parameters.conditional.type = cudaGraphCondTypeWhile;
    parameters.conditional.size = 1;
    cudaGraphNode_t node;
    check(cudaGraphAddNode(&node, graph_, nullptr, nullptr, 0, &parameters), "loop's node");

    // Relaxed, as a kernel's first launch may load it.
    check(cudaStreamBeginCaptureToGraph(stream.get(), parameters.conditional.phGraph_out[0],
                                        nullptr, nullptr, 0, cudaStreamCaptureModeRelaxed),
          "recording of the loop");
    std::exception_ptr failure;
    try {
      body(condition);
    } catch (...) {
      failure = std::current_exception();
    }
    cudaGraph_t recorded = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream.get(), &recorded);
    if (failure) std::rethrow_exception(failure);
    check(ended, "recording of the loop");
    check(cudaGraphInstantiate(&executable_, graph_, 0), "loop");
  }
  void destroy() {
    if (executable_) cudaGraphExecDestroy(executable_);
    if (graph_) cudaGraphDestroy(graph_);
  }

  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace ffjord::cuda
