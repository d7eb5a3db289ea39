// The CUDA engine of this machine, or why its checks are skipped.
#pragma once

#include <cstdio>

#include "cuda/flow/cuda_engine.h"

namespace checks {

inline constexpr int kSkipped = 77;  // as ctest takes it

/// The engine whose flows compute by other options than the process's.
inline ffjord::Engine cuda_engine(const ffjord::cuda::CudaOptions& options) {
  return ffjord::cuda::engines(options).front();
}

/// The process's options, but that every solve goes layer by layer.
inline ffjord::cuda::CudaOptions layer_by_layer() {
  ffjord::cuda::CudaOptions options = ffjord::cuda::process_cuda_options();
  options.fused = 0;
  return options;
}

template <class Check>
int with_cuda_engine(const Check& check, const ffjord::cuda::CudaOptions& options =
                                             ffjord::cuda::process_cuda_options()) {
  const ffjord::Engine engine = cuda_engine(options);
  if (engine.unusable.empty()) return check(engine);
  std::printf("skipped: %s\n", engine.unusable.c_str());
  return kSkipped;
}

}  // namespace checks
