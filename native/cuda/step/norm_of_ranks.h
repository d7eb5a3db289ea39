// The norm of a batch whose rows several processes have, so that all of them take the same steps:
// sums of squares leave the card, are added up over the ranks, and come back. The host waits once
// for each norm; a card with NCCL could do it by itself, and nothing was measured that asks for it.
#pragma once

#include "core/slots.h"
#include "cuda/device/memory.h"
#include "cuda/step/control.h"

namespace ffjord::cuda {

class NormOfRanks {
 public:
  explicit NormOfRanks(const Stream& stream);

  /// Adds up over all processes what `sets` norms of `control`, of one group, have in its parts.
  /// It is of all their rows then, of which it has one part for each norm.
  void add_up(SharedSums& sums, int sets, ControlArguments& control);

 private:
  static constexpr int kMostSets = 2;

  const Stream& stream_;
  DeviceArray<NormPart> totals_;  // (sets)
  PinnedArray<NormPart> seen_;    // the same
};

}  // namespace ffjord::cuda
