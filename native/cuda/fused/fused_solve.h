// A solve in one launch, for small nets: every block keeps the net and some rows, and steps them by
// itself.
#pragma once

#include "cuda/fused/fused_net.h"
#include "cuda/step/joint_solve.h"

namespace ffjord::cuda {

struct FusedSolveArguments;

/// Memory of solves of one kind, which may come one after the other.
class FusedSolve {
 public:
  FusedSolve(const FusedPlan& plan, const SolverOptions& options, const Stream& stream);

  float* state() { return y_.data(); }  ///< (B, S)
  SolveOutcome& outcome() { return outcome_; }

  /// Integrates `state()`; `plan` is cut as the first one was, `eps` on the device. Throws
  /// SolveFailure with the offending rows, and Error(Cancelled).
  void run(const FusedPlan& plan, const float* eps, const SolveRun& run);

 private:
  void start(const FusedPlan& plan, FusedSolveArguments& arguments);

  const SolverOptions options_;
  const StepPolicy policy_;
  const DeviceTableau tableau_;
  const Stream& stream_;
  SolveOutcome outcome_;
  DeviceArray<float> y_, k0_;      // (B, S)
  DeviceArray<float> end_, last_;  // (B, S), where a block has many tiles of a joint batch
  DeviceArray<NormPart> parts_;
  int resident_blocks_ = 0;  // of the kernel on this card; 0: not asked yet
};

}  // namespace ffjord::cuda
