// One Runge-Kutta solve of rows that step together. Where a step is accepted: core/step_control.
#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "core/slots.h"
#include "core/step_control.h"
#include "reference/vectors.h"

namespace ffjord::reference {

/// A part of the state with an error norm of its own.
struct Tensor {
  std::size_t offset = 0, rows = 0, columns = 0;
  bool in_norm = true;
  std::size_t size() const { return rows * columns; }
};

/// dy/dt = derivative(t, y).
struct System {
  std::size_t size = 0;
  std::size_t batch = 0;        ///< tensors with as many rows tell which row failed
  std::vector<Tensor> tensors;  ///< RMS of each, the largest counts
  std::function<void(double t, View y, Target rate)> derivative;
  /// Of all processes whose rows step together; null: of this one's.
  SharedSums* sums = nullptr;
};

/// An accepted step; the solution goes on from t + theta · h. theta is 1 but for a last step that
/// went past the end and was interpolated (Controller::Torchdiffeq).
struct AcceptedStep {
  double t = 0, h = 0, theta = 1;
};

/// What a caller sees of a solve on its way.
struct Watch {
  std::function<void(const AcceptedStep& step, View y_before)> on_step;
  /// Within [t0, t1], monotone in the direction of the solve. Steps do not mind them: the state at
  /// a time within a step is the method's interpolant.
  std::span<const double> times;
  std::function<void(std::size_t index, View y)> on_time;
};

/// Integrates `y` from t0 to t1 in place and adds the counts to `statistics`. Throws SolveFailure,
/// and Error(Cancelled) when `stop` was asked for.
void integrate(const System& system, const SolverOptions& options, const std::stop_token& stop,
               double t0, double t1, Target y, const Watch& watch, SolveStatistics& statistics);

}  // namespace ffjord::reference
