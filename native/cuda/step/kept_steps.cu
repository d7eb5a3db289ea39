#include <algorithm>
#include <cstdint>

#include "cuda/step/kept_steps.h"

namespace ffjord::cuda {
namespace {

// Where a step finds room in a quarter of the free memory, its pullback does beside it, should it
// be the one that is recomputed.
constexpr std::size_t kShare = 4;

std::size_t most_bytes(const CudaOptions& options) {
  if (options.tape_megabytes) return static_cast<std::size_t>(*options.tape_megabytes * (1 << 20));
  return free_memory() / kShare;
}

}  // namespace

KeptSteps::KeptSteps(int count, int of_step, std::size_t floats, const Stream& stream)
    : of_step_(of_step), floats_(floats) {
  const std::size_t fit = most_bytes(stream.options()) / (floats * sizeof(float));
  count_ = static_cast<int>(std::min<std::size_t>(count, fit));
  if (count_ < of_step) count_ = 0;
  try {
    memory_ = DeviceArray<float>(count_ * floats, stream);
  } catch (const Error& error) {
    if (error.code != ErrorCode::OutOfMemory) throw;
    count_ = 0;  // steps are recomputed from their checkpoints
  }
  first_ = memory_.data();
}

KeptEvaluations KeptSteps::from(const float* own) const {
  if (count_ == 0) return {};
  const auto distance = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(first_) -
                                                    reinterpret_cast<std::uintptr_t>(own));
  return {distance / std::ptrdiff_t(sizeof(float)), floats_, of_step_, count_};
}

}  // namespace ffjord::cuda
