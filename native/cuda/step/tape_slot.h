// Evaluations that a solve keeps for its pullback, in the order in which its accepted steps make
// them. Only the device knows how many steps were accepted, and a recorded loop has the addresses
// of one evaluation in its kernels' arguments: kernels add the way from there to where the
// evaluation is kept. An attempt that is rejected is overwritten by the next.
#pragma once

#include <cstddef>

#include "cuda/step/group.h"

namespace ffjord::cuda {

/// Where they are, set on the device before a solve. Step n makes evaluations n · of_step and on;
/// an FSAL stage is the first of the next step.
struct KeptEvaluations {
  std::ptrdiff_t first = 0;  ///< floats from the tape of the arguments to that of evaluation 0
  std::size_t floats = 0;    ///< of a tape
  int of_step = 0, count = 0;
};

/// Where a kernel finds the tape of its evaluation, of the groups' step under way.
struct TapeSlot {
  const KeptEvaluations* kept = nullptr;  ///< null: where the arguments say
  int stage = 0;

  /// How far it is from what the arguments say; 0 beyond what is kept. There is one group.
  __device__ std::ptrdiff_t offset(const Groups& groups) const {
    if (!kept) return 0;
    const int evaluation = groups.data->step * kept->of_step + stage;
    if (evaluation >= kept->count) return 0;
    return kept->first + static_cast<std::ptrdiff_t>(evaluation * kept->floats);
  }
};

}  // namespace ffjord::cuda
