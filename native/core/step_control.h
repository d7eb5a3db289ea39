// Where a step is accepted. One controller steers one set of rows that step together.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>

#include "core/errors.h"
#include "core/options.h"
#include "core/tableau.h"

namespace ffjord {

/// Counts of one solve; evaluations are means over rows where rows step apart.
struct SolveStatistics {
  double evaluations = 0;
  double accepted = 0, rejected = 0;
  double smallest_step = 0, largest_step = 0;  ///< of accepted steps, absolute; 0 before the first
  std::size_t smallest_step_row = 0;           ///< whose error was largest in that step
  int smallest_step_block = -1;                ///< in the flow's list; −1 until the chain knows
  double stiffness_sum = 0;                    ///< over accepted steps

  /// Mean over accepted steps: near 0 accuracy limits the steps, near 1 stability (stiffness.h).
  double stiffness() const { return accepted > 0 ? stiffness_sum / accepted : 0; }
  void record_accepted(double h, double stiffness = 0);
  /// Adds the counts of `other`, weighted (rows / batch), and joins the step ranges.
  void add(const SolveStatistics& other, double weight = 1);
};

/// Hairer, Nørsett, Wanner, Solving ODEs I, II.4, in two halves around the trial evaluation.
/// d0, d1: norms of y₀ and f₀ over atol + rtol |y₀|; d2: norm of (f₁ − f₀)/h₀ so scaled.
double trial_step(double d0, double d1);
double first_step(double h0, double d1, double d2, int order);

/// What an engine throws where the norms of y₀ or f₀ are not finite; it names the rows.
SolveFailure start_not_finite(double t0);

class StepControl {
 public:
  /// Steps from t0 to t1 (either direction). `first` is the size of the first step, > 0; ignored by
  /// fixed-step methods.
  StepControl(const SolverOptions& options, double t0, double t1, double first);

  double t() const { return t_; }
  bool done() const { return done_; }

  struct Attempt {
    double t, h;  ///< h carries the direction's sign
  };
  /// The next attempt: lands exactly on t1 when it would pass or nearly reach it (not so under
  /// Controller::Torchdiffeq, which steps past t1 and interpolates).
  /// Throws SolveFailure when h underflows or max_attempts is spent.
  Attempt attempt();

  /// `ratio`: the error norm of that attempt; NaN or infinite where the state is. Returns whether
  /// the step is accepted, and moves t and h. Throws SolveFailure at the second non-finite ratio in
  /// a row.
  bool judge(double ratio, double stiffness = 0);
  /// Whether the step accepted last is the smallest so far.
  bool is_smallest() const { return std::abs(attempted_) == statistics_.smallest_step; }

  const SolveStatistics& statistics() const { return statistics_; }

 private:
  std::string what_limits_steps() const;

  const SolverOptions options_;
  const double t1_, sign_;
  double t_, h_;
  double attempted_ = 0;  // signed size of the attempt under judgement
  bool last_ = false, done_ = false;
  double previous_ratio_ = 1;
  int attempts_ = 0, failures_ = 0, rejections_ = 0;  // the last two in a row
  SolveStatistics statistics_;
};

}  // namespace ffjord
