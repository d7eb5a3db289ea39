// The solve of a batch whose groups step on the device. The host starts attempts in bunches and
// looks at the groups between them; kernels of groups that are done return at once.
#pragma once

#include <span>
#include <stop_token>

#include "core/continuous_block.h"
#include "cuda/control.h"
#include "cuda/memory.h"
#include "cuda/solve_outcome.h"

namespace ffjord::cuda {

/// The differential equation that a solve integrates.
class RowSystem {
 public:
  static constexpr int kTrialStage = -1;  ///< the evaluation that only sizes the first step

  virtual ~RowSystem() = default;
  /// Rates (B, S) at `point` (B, stride), as stage number `stage` at time t + c h of the groups.
  virtual void evaluate(int stage, double c, const float* point, int stride, float* rates) = 0;
  /// Norms of what no row holds (the weights' cotangent of an adjoint), written to device memory;
  /// null where there is nothing of the kind.
  virtual const double* start_norm() { return nullptr; }
  virtual const double* change_norm() { return nullptr; }
  virtual const double* error_norm() { return nullptr; }
  /// After the verdict, which the groups hold.
  virtual void conclude() {}
};

/// Channels of a state: S, of which the first I are what the rates depend on; the tensors of the
/// norm.
struct StateShape {
  int channels = 0, inputs = 0;
  int tensors[kMostTensors] = {};
};

/// Checkpoints on the device, (steps, B, columns).
class Checkpoints {
 public:
  Checkpoints() = default;
  explicit Checkpoints(int columns) { tape_.columns = columns; }

  const StepTape& tape() const { return tape_; }
  /// Makes room for `least` steps and more, keeping what is there.
  void grow(int least, const Grouping& grouping, const Stream& stream);

 private:
  DeviceArray<float> states_;
  DeviceArray<Step> steps_;
  StepTape tape_;
};

class JointSolve {
 public:
  /// `checkpoints`: where accepted steps go, or null.
  JointSolve(const SolverOptions& options, const std::stop_token& stop, const Grouping& grouping,
             const StateShape& shape, Checkpoints* checkpoints, const Stream& stream);

  Groups groups() { return outcome_.groups(); }
  float* state() { return y_.data(); }
  const Tableau& tableau() const { return tableau_; }
  const DeviceTableau& device_tableau() const { return weights_; }
  float* stage(int i) { return stages_.data() + i * y_.size(); }

  /// Integrates `state()` from t0 to t1; interpolates `stops` on the way, whose states (stops, B,
  /// S) go to `stop_states` on the device. Throws SolveFailure with the offending rows, and
  /// Error(Cancelled).
  void run(RowSystem& system, double t0, double t1, std::span<const double> stops,
           DeviceArray<float>& stop_states);

  SolveOutcome& outcome() { return outcome_; }

 private:
  StepArrays arrays();
  ControlArguments control(const StepPolicy& policy, const double* shared_norm);
  void start(RowSystem& system, double t0, double t1, const StepPolicy& policy);
  void attempt(RowSystem& system, const StepPolicy& policy);

  const SolverOptions options_;
  const Tableau& tableau_;
  const DeviceTableau weights_;
  const std::stop_token stop_;
  const Grouping grouping_;
  const StateShape shape_;
  Checkpoints* const checkpoints_;
  const Stream& stream_;
  const int norm_part_count_;

  SolveOutcome outcome_;
  DeviceArray<float> y_, end_, point_, stages_;
  DeviceArray<NormPart> norm_parts_;
  DeviceArray<double> stop_times_;
  StopArrays stops_;
};

}  // namespace ffjord::cuda
