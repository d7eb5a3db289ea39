// The solve of a batch whose groups step on the device, in a loop that the device drives by itself.
// Where it cannot (DeviceLoop::supported, kernels whose arguments change from solve to solve, stops
// on the way), the host starts attempts in bunches. Either way it looks at the groups between, and
// kernels of groups that are done return at once. Of a batch that other processes have rows of the
// host starts every attempt, as it carries the norms between them.
#pragma once

#include <optional>
#include <span>
#include <stop_token>

#include "core/block_plan.h"
#include "core/slots.h"
#include "cuda/device/device_loop.h"
#include "cuda/device/memory.h"
#include "cuda/step/control.h"
#include "cuda/step/norm_of_ranks.h"
#include "cuda/step/solve_outcome.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

/// The differential equation that a solve integrates.
class RowSystem {
 public:
  static constexpr int kTrialStage = -1;  ///< the evaluation that only sizes the first step

  virtual ~RowSystem() = default;
  /// Rates (B, S) at `point`, as stage number `stage` at time t + c h of the groups.
  virtual void evaluate(int stage, double c, const StagePoint& point, float* rates) = 0;
  /// Norms of what no row holds (the weights' cotangent of an adjoint), written to device memory;
  /// null where there is nothing of the kind.
  virtual const double* start_norm() { return nullptr; }
  virtual const double* change_norm() { return nullptr; }
  virtual const double* error_norm() { return nullptr; }
  /// Called after the verdict, which the groups hold, when what was accepted is the state.
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

/// One use of a JointSolve: from t0 to t1.
struct SolveRun {
  double t0 = 0, t1 = 0;
  std::stop_token stop;
  Checkpoints* checkpoints = nullptr;         ///< where accepted steps go; null: nowhere
  KeptEvaluations kept = {};                  ///< of the system's
  std::span<const double> stops = {};         ///< between t0 and t1, monotone
  DeviceArray<float>* stop_states = nullptr;  ///< (stops, B, S), interpolated
  SharedSums* sums = nullptr;                 ///< of those whose rows step together with these
};

/// Memory of solves of one kind, which may come one after the other, and their recorded loop.
class JointSolve {
 public:
  /// `loops`: the systems of all runs put the same kernels with the same arguments on the stream,
  /// and allocate nothing.
  JointSolve(const SolverOptions& options, const Grouping& grouping, const StateShape& shape,
             bool loops, const Stream& stream);

  Groups groups() {
    Groups groups = outcome_.groups();
    groups.order = order_.data();
    return groups;
  }
  float* state() { return y_.data(); }
  const Tableau& tableau() const { return tableau_; }
  const DeviceTableau& device_tableau() const { return weights_; }
  const KeptEvaluations* kept() const { return kept_.data(); }
  float* stage(int i) { return stages_.data() + i * y_.size(); }

  /// Integrates `state()`. Throws SolveFailure with the offending rows, and Error(Cancelled).
  void run(RowSystem& system, const SolveRun& run);

  SolveOutcome& outcome() { return outcome_; }

 private:
  StepArrays arrays();
  StagePoint start_point() { return {y_.data(), shape_.channels}; }
  ControlArguments control(const double* shared_norm);
  ControlArguments control_by(int norms, const double* shared_norm);
  void integrate(RowSystem& system, const SolveRun& run);
  void set_stops(const SolveRun& run);
  void set_order();
  void set_tape(const Checkpoints* checkpoints);
  void start(RowSystem& system, double t0, double t1);
  void attempt(RowSystem& system);
  void run_loop(RowSystem& system);

  const SolverOptions options_;
  const Tableau& tableau_;
  const DeviceTableau weights_;
  const StepPolicy policy_;
  const Grouping grouping_;
  const StateShape shape_;
  const bool loops_;
  const Stream& stream_;
  const int norm_part_count_, resident_conclusions_;

  SolveOutcome outcome_;
  DeviceArray<float> y_, end_, point_, stages_;
  DeviceArray<NormPart> norm_parts_;
  DeviceArray<int> order_;             ///< (B), or empty
  DeviceArray<StepTape> tape_;         ///< one
  DeviceArray<KeptEvaluations> kept_;  ///< one
  DeviceArray<Trips> trips_;           ///< one
  DeviceArray<double> stop_times_;
  StopArrays stops_;
  std::optional<DeviceLoop> loop_;
  SharedSums* sums_ = nullptr;  // of the run
  std::optional<NormOfRanks> norm_of_ranks_;
};

}  // namespace ffjord::cuda
