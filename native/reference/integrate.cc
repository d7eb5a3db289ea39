#include "reference/integrate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/errors.h"
#include "core/step_weights.h"
#include "core/stiffness.h"

namespace ffjord::reference {

namespace {

constexpr std::size_t kRowsNamed = 16;  // a failure names so many rows at most

// y₁ = y + h Σ weights_j k_j over the first `stages` stages.
void advance(View y, double h, std::span<const double> weights, const std::vector<Vector>& stages,
             int count, Target result) {
  std::copy(y.begin(), y.end(), result.begin());
  for (int j = 0; j < count; ++j)
    if (weights[j] != 0) add_scaled(h * weights[j], stages[j], result);
}

bool is_finite(View values) {
  return std::all_of(values.begin(), values.end(),
                     [](double value) { return std::isfinite(value); });
}

// Sum of the squares of `values` over atol + rtol max(|y₀|, |y₁|).
double scaled_squares(const SolverOptions& options, View values, View y0, View y1) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scale = options.atol + options.rtol * std::max(std::abs(y0[i]), std::abs(y1[i]));
    sum += (values[i] / scale) * (values[i] / scale);
  }
  return sum;
}

double scaled_rms(const SolverOptions& options, View values, View y0, View y1) {
  return std::sqrt(scaled_squares(options, values, y0, y1) / static_cast<double>(values.size()));
}

// NaN where y₁ or a sum is not finite.
double norm(const System& system, const SolverOptions& options, View values, View y0, View y1) {
  std::vector<double> sums;  // of squares, and of elements, one a tensor; of y₁ not finite
  for (const Tensor& tensor : system.tensors) {
    if (!tensor.in_norm || tensor.size() == 0) continue;
    const auto part = [&](View view) { return view.subspan(tensor.offset, tensor.size()); };
    sums.push_back(scaled_squares(options, part(values), part(y0), part(y1)));
    sums.push_back(static_cast<double>(tensor.size()));
  }
  sums.push_back(is_finite(y1) ? 0 : 1);
  if (system.sums) system.sums->sum(std::span(sums));
  if (sums.back() > 0) return std::numeric_limits<double>::quiet_NaN();
  double largest = 0;
  for (std::size_t i = 0; i + 1 < sums.size(); i += 2) {
    const double rms = std::sqrt(sums[i] / sums[i + 1]);
    if (std::isnan(rms)) return rms;
    largest = std::max(largest, rms);
  }
  return largest;
}

// The first rows of which a tensor's part fulfils `offends(tensor, offset)`.
template <class Offends>
std::vector<std::size_t> rows_where(const System& system, Offends offends) {
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < system.batch && rows.size() < kRowsNamed; ++row)
    if (std::any_of(system.tensors.begin(), system.tensors.end(), [&](const Tensor& tensor) {
          return tensor.rows == system.batch && tensor.columns > 0 &&
                 offends(tensor, tensor.offset + row * tensor.columns);
        }))
      rows.push_back(row);
  return rows;
}

class Solve {
 public:
  Solve(const System& system, const SolverOptions& options, const Watch& watch,
        std::size_t next_time, Target y)
      : system_(system),
        options_(options),
        tableau_(*options.tableau),
        watch_(watch),
        y_(y),
        next_time_(next_time),
        stages_(tableau_.end_stage() + 1, Vector(system.size)),
        y1_(y.begin(), y.end()),
        argument_(system.size),
        error_(system.size) {}

  double evaluations() const { return evaluations_; }

  void run(const std::stop_token& stop, double t0, double t1, SolveStatistics& statistics) {
    evaluate(t0, y_, stages_[0]);
    require_finite_start(t0);
    StepControl control(options_, t0, t1, tableau_.adaptive ? first_step_size(t0, t1) : 0);
    try {
      bool first_stage_known = true;
      while (!control.done()) {
        if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "the solve was stopped");
        const StepControl::Attempt attempt = control.attempt();
        if (!first_stage_known) evaluate(attempt.t, y_, stages_[0]);
        first_stage_known = true;
        const double ratio = take_step(attempt.t, attempt.h);
        if (!control.judge(ratio, tableau_.adaptive ? stiffness_of(attempt.h) : 0)) continue;
        if (tableau_.adaptive && control.is_smallest()) smallest_step_row_ = worst_row();
        first_stage_known = finish_step(attempt, control, t1);
      }
    } catch (SolveFailure& failure) {
      failure.rows = offending_rows();
      if (system_.sums) await_culprit(*system_.sums, failure.rows);
      throw;
    }
    SolveStatistics counts = control.statistics();
    counts.smallest_step_row = smallest_step_row_;
    statistics.add(counts);
  }

 private:
  void evaluate(double t, View y, Target rate) {
    system_.derivative(t, y, rate);
    evaluations_ += 1;
  }

  void require_finite_start(double t0) const {
    if (is_finite(y_) && is_finite(stages_[0])) return;
    SolveFailure failure = start_not_finite(t0);
    failure.rows = rows_where(system_, [&](const Tensor& tensor, std::size_t offset) {
      return !is_finite(y_.subspan(offset, tensor.columns)) ||
             !is_finite(View(stages_[0]).subspan(offset, tensor.columns));
    });
    throw failure;
  }

  // After an attempt: rows that are not finite or over their tolerance.
  std::vector<std::size_t> offending_rows() const {
    return rows_where(system_, [&](const Tensor& tensor, std::size_t offset) {
      const auto part = [&](View view) { return view.subspan(offset, tensor.columns); };
      if (!is_finite(part(y1_)) || !is_finite(part(error_))) return true;
      return tensor.in_norm && scaled_rms(options_, part(error_), part(y_), part(y1_)) > 1;
    });
  }

  // The rows of z, or of whatever is the first tensor of the state.
  double stiffness_of(double h) {
    const Tensor& tensor = system_.tensors.front();
    std::fill(argument_.begin(), argument_.end(), 0.0);
    double rate_change = 0, argument_change = 0;
    for (int j = 0; j < tableau_.stages; ++j)
      add_scaled(h * tableau_.last_change[j], stages_[j], argument_);
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size(); ++i) {
      const double change = stages_[tableau_.stages - 1][i] - stages_[tableau_.stages - 2][i];
      rate_change += change * change;
      argument_change += argument_[i] * argument_[i];
    }
    return stiffness(tableau_, h, rate_change, argument_change);
  }

  // After an attempt: the row with the largest error.
  std::size_t worst_row() const {
    std::size_t worst = 0;
    double largest = -1;
    for (std::size_t row = 0; row < system_.batch; ++row)
      for (const Tensor& tensor : system_.tensors) {
        if (!tensor.in_norm || tensor.rows != system_.batch || tensor.columns == 0) continue;
        const auto part = [&](View view) {
          return view.subspan(tensor.offset + row * tensor.columns, tensor.columns);
        };
        const double error = scaled_rms(options_, part(error_), part(y_), part(y1_));
        if (error <= largest) continue;
        largest = error;
        worst = row;
      }
    return worst;
  }

  double first_step_size(double t0, double t1) {
    const double d0 = norm(system_, options_, y_, y_, y_);
    const double d1 = norm(system_, options_, stages_[0], y_, y_);
    const double h0 = trial_step(d0, d1), sign = t1 < t0 ? -1 : 1;
    Vector trial(y_.begin(), y_.end()), change(system_.size);
    add_scaled(sign * h0, stages_[0], trial);
    evaluate(t0 + sign * h0, trial, change);
    add_scaled(-1, stages_[0], change);
    const double d2 = norm(system_, options_, change, y_, y_) / h0;
    return first_step(h0, d1, d2, tableau_.order);
  }

  // Fills y1_, error_ and the stages after the first; returns the error norm.
  double take_step(double t, double h) {
    for (int i = 1; i < tableau_.stages; ++i) {
      advance(y_, h, tableau_.a[i], stages_, i, argument_);
      evaluate(t + tableau_.c[i] * h, argument_, stages_[i]);
    }
    advance(y_, h, tableau_.b, stages_, tableau_.stages, y1_);
    std::fill(error_.begin(), error_.end(), 0.0);
    for (int i = 0; i < tableau_.stages; ++i) add_scaled(h * tableau_.e[i], stages_[i], error_);
    return norm(system_, options_, error_, y_, y1_);
  }

  // Returns whether the next step's first stage is known.
  bool finish_step(const StepControl::Attempt& attempt, const StepControl& control, double t1) {
    const bool interpolate =
        control.done() && tableau_.adaptive && options_.controller == Controller::Torchdiffeq;
    const AcceptedStep step{attempt.t, attempt.h, interpolate ? (t1 - attempt.t) / attempt.h : 1};
    if (watch_.on_step) watch_.on_step(step, y_);
    const bool end_known = pass_times(step);
    if (step.theta != 1) interpolate_at(step, step.theta, y1_);
    std::copy(y1_.begin(), y1_.end(), y_.begin());
    if (end_known) std::swap(stages_.front(), stages_.back());
    return end_known;
  }

  // Shows the states at the times that lie in an accepted step. Where the interpolant needs
  // f(t + h, y₁) and the method has no such stage, it is evaluated: the next step begins with it.
  // Returns whether it is known.
  bool pass_times(const AcceptedStep& step) {
    bool end_known = tableau_.fsal;
    for (; next_time_ < watch_.times.size(); ++next_time_) {
      const double theta = (watch_.times[next_time_] - step.t) / step.h;
      if (theta > step.theta) break;
      if (theta < 1 && !end_known) evaluate(step.t + step.h, y1_, stages_.back());
      end_known = end_known || theta < 1;
      interpolate_at(step, theta, argument_);
      watch_.on_time(next_time_, argument_);
    }
    return end_known;
  }

  void interpolate_at(const AcceptedStep& step, double theta, Target result) const {
    advance(y_, step.h, step_weights(tableau_, theta), stages_,
            theta == 1 ? tableau_.stages : tableau_.end_stage() + 1, result);
  }

  const System& system_;
  const SolverOptions& options_;
  const Tableau& tableau_;
  const Watch& watch_;
  Target y_;
  std::size_t next_time_;       // the first of the watched times that is yet to come
  std::vector<Vector> stages_;  // k_i, up to f(t + h, y₁)
  Vector y1_, argument_, error_;
  double evaluations_ = 0;
  std::size_t smallest_step_row_ = 0;
};

}  // namespace

void integrate(const System& system, const SolverOptions& options, const std::stop_token& stop,
               double t0, double t1, Target y, const Watch& watch, SolveStatistics& statistics) {
  std::size_t at_start = 0;
  for (; at_start < watch.times.size() && watch.times[at_start] == t0; ++at_start)
    watch.on_time(at_start, y);
  if (t0 == t1) return;
  Solve solve(system, options, watch, at_start, y);
  solve.run(stop, t0, t1, statistics);
  statistics.evaluations += solve.evaluations();
}

}  // namespace ffjord::reference
