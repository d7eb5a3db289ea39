// The memory of evaluations that a solve keeps for its pullback (tape_slot.h), as much of it as the
// device can spare.
#pragma once

#include "cuda/device/memory.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

class KeptSteps {
 public:
  KeptSteps() = default;
  /// Makes room for `count` evaluations of `floats` each, or fewer, or none: at most
  /// CudaOptions::tape_megabytes, or a quarter of the free memory without that. `of_step`: those of
  /// a step.
  KeptSteps(int count, int of_step, std::size_t floats, const Stream& stream);

  /// Whether the first `stages` evaluations of a step are kept.
  bool holds(int step, int stages) const { return step * of_step_ + stages <= count_; }
  float* tape(int step, int stage) const {
    return first_ + (std::size_t(step) * of_step_ + stage) * floats_;
  }
  /// What kernels need whose arguments name the tape `own`.
  KeptEvaluations from(const float* own) const;

 private:
  int of_step_ = 0, count_ = 0;
  std::size_t floats_ = 0;
  DeviceArray<float> memory_;
  float* first_ = nullptr;
};

}  // namespace ffjord::cuda
