// Where a step is accepted. One controller steers one set of rows that step together.
#pragma once

#include "core/options.h"
#include "core/tableau.h"

namespace ffjord {

/// Counts of one solve; evaluations are means over rows where rows step apart.
struct SolveStatistics {
  double evaluations = 0;
  double accepted = 0, rejected = 0;
  double smallest_step = 0, largest_step = 0;  ///< of accepted steps, absolute; 0 before the first

  void record_accepted(double h);
  /// Adds the counts of `other`, weighted (rows / batch), and joins the step ranges.
  void add(const SolveStatistics& other, double weight = 1);
};

/// Hairer, Nørsett, Wanner, Solving ODEs I, II.4, in two halves around the trial evaluation.
/// d0, d1: norms of y₀ and f₀ over atol + rtol |y₀|; d2: norm of (f₁ − f₀)/h₀ so scaled.
double trial_step(double d0, double d1);
double first_step(double h0, double d1, double d2, int order);

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
  bool judge(double ratio);

  const SolveStatistics& statistics() const { return statistics_; }

 private:
  const SolverOptions options_;
  const double t1_, sign_;
  double t_, h_;
  double attempted_ = 0;  // signed size of the attempt under judgement
  bool last_ = false, done_ = false;
  double previous_ratio_ = 1;
  int attempts_ = 0, failures_ = 0;
  SolveStatistics statistics_;
};

}  // namespace ffjord
