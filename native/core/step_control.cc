#include "core/step_control.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "core/errors.h"

namespace ffjord {
namespace {

// The share of the stability interval above which, on average, a solve counts as stiff.
constexpr double kStiff = 0.5;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string what_limits_steps(double stiffness) {
  if (stiffness > kStiff)
    return ": its steps are as long as stability allows (stiffness " + number(stiffness) +
           "), so looser tolerances save little; smooth the flow (kinetic or jacobian "
           "regulariser, weight decay, a lower learning rate), or raise maxAttempts";
  return ": accuracy asks for steps this short (stiffness " + number(stiffness) +
         "); loosen rtol and atol, take a method of higher order, regularise the flow, or raise "
         "maxAttempts";
}

}  // namespace

void SolveStatistics::record_accepted(double h, double stiffness) {
  accepted += 1;
  stiffness_sum += stiffness;
  smallest_step = smallest_step == 0 ? h : std::min(smallest_step, h);
  largest_step = std::max(largest_step, h);
}

void SolveStatistics::add(const SolveStatistics& other, double weight) {
  evaluations += weight * other.evaluations;
  accepted += weight * other.accepted;
  rejected += weight * other.rejected;
  stiffness_sum += weight * other.stiffness_sum;
  if (other.smallest_step > 0 && (smallest_step == 0 || other.smallest_step < smallest_step)) {
    smallest_step = other.smallest_step;
    smallest_step_row = other.smallest_step_row;
    smallest_step_block = other.smallest_step_block;
  }
  largest_step = std::max(largest_step, other.largest_step);
}

double trial_step(double d0, double d1) { return StepRule<double>::trial_step(d0, d1); }

double first_step(double h0, double d1, double d2, int order) {
  return StepRule<double>::first_step(h0, d1, d2, order);
}

StepPolicy step_policy(const SolverOptions& options) {
  // Equal steps are as many as were asked for; a limit is for those that a controller chooses.
  const bool adaptive = options.tableau->adaptive;
  const int most = adaptive ? options.max_attempts : std::numeric_limits<int>::max();
  return {options.tableau->order, most, options.steps, adaptive,
          options.controller == Controller::Torchdiffeq};
}

SolveFailure start_not_finite(double t0) {
  return {"the state or its velocity is not finite at the start, t = " + number(t0) +
              "; look for values in the input or weights that are not finite",
          t0, 0};
}

SolveFailure step_failure(const StepRule<double>& rule, const StepPolicy& policy,
                          double stiffness) {
  const std::string place = " at t = " + number(rule.t) + " with h = " + number(rule.h);
  if (rule.failure == StepFailure::AttemptsSpent)
    return {"the solver used up its " + std::to_string(policy.max_attempts) + " attempts" + place +
                what_limits_steps(stiffness),
            rule.t, rule.h};
  if (rule.failure == StepFailure::Underflow && !policy.adaptive)
    return {"equal steps of h = " + number(rule.h) + " are too short to be told apart at t = " +
                number(rule.t) + "; take fewer than " + std::to_string(policy.steps) + " steps",
            rule.t, rule.h};
  if (rule.failure == StepFailure::Underflow)
    return {"the step underflowed" + place + " after " + std::to_string(rule.rejections) +
                " rejections in a row: no step is small enough there, as at a pole, a jump, or "
                "where f(t, y) is not the same twice; look at f there, and for a flow lower the "
                "learning rate, clip gradients, add weight decay or the kinetic regulariser",
            rule.t, rule.h};
  return {"the state is not finite after a step from t = " + number(rule.t) +
              " with h = " + number(rule.attempted) +
              "; look for huge inputs or weights, lower the learning rate, clip gradients",
          rule.t, rule.attempted};
}

StepControl::StepControl(const SolverOptions& options, double t0, double t1, double first)
    : policy_(step_policy(options)) {
  rule_.begin(policy_, t0, t1, first);
}

StepControl::Attempt StepControl::attempt() {
  if (!rule_.attempt(policy_)) throw step_failure(rule_, policy_, statistics_.stiffness());
  return {rule_.t, rule_.attempted};
}

bool StepControl::judge(double ratio, double stiffness) {
  const bool accepted = rule_.judge(policy_, ratio);
  if (accepted)
    statistics_.record_accepted(std::abs(rule_.attempted), stiffness);
  else
    statistics_.rejected += 1;
  if (rule_.failure != StepFailure::None)
    throw step_failure(rule_, policy_, statistics_.stiffness());
  return accepted;
}

}  // namespace ffjord
