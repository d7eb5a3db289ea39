// A solve in one launch, for small nets: every block keeps the net and some rows, and steps them by
// itself.
#pragma once

#include "cuda/fused_net.h"
#include "cuda/joint_solve.h"

namespace ffjord::cuda {

class FusedSolve {
 public:
  /// `checkpoints`: where accepted steps go, or null. `eps` on the device.
  FusedSolve(const FusedPlan& plan, const SolverOptions& options, const std::stop_token& stop,
             const float* eps, Checkpoints* checkpoints, const Stream& stream);

  float* state() { return y_.data(); }  ///< (B, S)
  SolveOutcome& outcome() { return outcome_; }

  /// Integrates `state()` from t0 to t1. Throws SolveFailure and Error(Cancelled).
  void run(double t0, double t1);

 private:
  void launch_attempts(double t0, double t1, bool begins);

  const FusedPlan plan_;
  const SolverOptions options_;
  const StepPolicy policy_;
  const DeviceTableau tableau_;
  const std::stop_token stop_;
  const float* const eps_;
  Checkpoints* const checkpoints_;
  const Stream& stream_;
  SolveOutcome outcome_;
  DeviceArray<float> y_, first_, end_, last_;  // (B, S)
  DeviceArray<NormPart> parts_;
};

}  // namespace ffjord::cuda
