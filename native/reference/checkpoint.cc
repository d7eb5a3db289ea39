#include "reference/checkpoint.h"

#include <cmath>

#include "core/errors.h"
#include "core/step_weights.h"

namespace ffjord::reference {

namespace {

// A step y₁ = y₀ + h Σ w_i k_i with k_i = F(t + c_i h, Y_i), Y_i = y₀ + h Σ_j a_ij k_j, and its
// pullback.
class StepPullback {
 public:
  StepPullback(const RowSystem& system, const Tableau& tableau, const Checkpoint& checkpoint)
      : system_(system),
        tableau_(tableau),
        step_(checkpoint.step),
        weights_(step_weights(tableau, checkpoint.step.theta)),
        // An FSAL stage counts only where the interpolant uses it.
        stages_(step_.theta == 1 ? tableau.differentiated_stages() : tableau.stages),
        arguments_(stages_, checkpoint.z),
        rates_(stages_, Vector(system.size())) {
    for (int i = 0; i < stages_; ++i) {
      for (int j = 0; j < i; ++j)
        add_scaled(step_.h * tableau_.a[i][j], system_.z(rates_[j]), arguments_[i]);
      system_.derivative(time(i), arguments_[i], rates_[i]);
    }
  }

  int stages() const { return stages_; }

  // Returns h h̄ + Σ t t̄.
  double pull(Target y_bar, Target gradients, Target context_bar) const {
    const double h = step_.h;
    double h_bar = 0, sum = 0;
    std::vector<Vector> argument_bars(stages_, Vector(system_.z_size()));
    for (int i = stages_; i-- > 0;) {
      h_bar += weights_[i] * dot(y_bar, rates_[i]);
      Vector rate_bar(system_.size());
      add_scaled(h * weights_[i], y_bar, rate_bar);
      const Target z_rate_bar = system_.z(rate_bar);
      for (int m = i + 1; m < stages_; ++m) {
        const double a = tableau_.a[m][i];
        if (a == 0) continue;
        add_scaled(h * a, argument_bars[m], z_rate_bar);
        h_bar += a * dot(argument_bars[m], system_.z(rates_[i]));
      }
      sum += time(i) * system_.pullback(time(i), arguments_[i], rate_bar, argument_bars[i],
                                        gradients, context_bar);
    }
    for (const Vector& bar : argument_bars) add_scaled(1, bar, system_.z(y_bar));
    return sum + h * h_bar;
  }

 private:
  double time(int stage) const { return step_.t + tableau_.c[stage] * step_.h; }

  const RowSystem& system_;
  const Tableau& tableau_;
  const AcceptedStep step_;
  const StageWeights weights_;
  const int stages_;
  std::vector<Vector> arguments_;  // Y_i, z alone
  std::vector<Vector> rates_;      // k_i
};

}  // namespace

double pull_checkpoints(const RowSystem& system, const Tableau& tableau,
                        const std::vector<Checkpoint>& checkpoints, const std::stop_token& stop,
                        Target y_bar, Target gradients, Target context_bar,
                        SolveStatistics& statistics) {
  double sum = 0;
  for (std::size_t i = checkpoints.size(); i-- > 0;) {
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "the pullback was stopped");
    const StepPullback step(system, tableau, checkpoints[i]);
    sum += step.pull(y_bar, gradients, context_bar);
    statistics.evaluations += step.stages();
    statistics.record_accepted(std::abs(checkpoints[i].step.h));
  }
  return sum;
}

}  // namespace ffjord::reference
