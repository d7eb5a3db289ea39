// The CUDA engine of this machine, or why its checks are skipped.
#pragma once

#include <cstdio>

#include "cuda/flow/cuda_engine.h"

namespace checks {

inline constexpr int kSkipped = 77;  // as ctest takes it

template <class Check>
int with_cuda_engine(const Check& check) {
  const ffjord::Engine engine = ffjord::cuda::engines().front();
  if (engine.unusable.empty()) return check(engine);
  std::printf("skipped: %s\n", engine.unusable.c_str());
  return kSkipped;
}

}  // namespace checks
