// Where a step is accepted. One controller steers one set of rows that step together.
#pragma once

#include <cmath>
#include <cstddef>

#include "core/errors.h"
#include "core/options.h"
#include "core/step_rule.h"
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

/// StepRule's, of doubles: arguments that are floats are widened.
double trial_step(double d0, double d1);
double first_step(double h0, double d1, double d2, int order);

/// What an engine throws where the norms of y₀ or f₀ are not finite; it names the rows.
SolveFailure start_not_finite(double t0);

StepPolicy step_policy(const SolverOptions& options);

/// What to throw for a rule with a failure; `stiffness`: SolveStatistics::stiffness.
SolveFailure step_failure(const StepRule<double>& rule, const StepPolicy& policy, double stiffness);

/// A StepRule that counts and throws.
class StepControl {
 public:
  /// Steps from t0 to t1 (either direction). `first` is Hairer's size of the first step, > 0;
  /// ignored by fixed-step methods.
  StepControl(const SolverOptions& options, double t0, double t1, double first);

  double t() const { return rule_.t; }
  bool done() const { return rule_.done; }

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
  bool is_smallest() const { return std::abs(rule_.attempted) == statistics_.smallest_step; }

  const SolveStatistics& statistics() const { return statistics_; }

 private:
  const StepPolicy policy_;
  StepRule<double> rule_;
  SolveStatistics statistics_;
};

}  // namespace ffjord
