#include "core/step_control.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "core/errors.h"

namespace ffjord {
namespace {

constexpr double kSafety = 0.9, kShrink = 0.2, kGrow = 10;
// Hairer's first step errs on the small side, and its tiny ratio would hold the next steps back:
// the ramp costs one step of five without this floor, at equal error.
constexpr double kLeastPrevious = 1e-2;

// A proportional-integral controller on the error per step (Gustafsson 1991), with the exponents
// 0.7/k and 0.4/k; it may shrink the step after an accepted one.
double pi_factor(double ratio, double previous, bool accepted, int order) {
  const double r = std::max(ratio, 1e-10);
  const double factor = std::clamp(
      kSafety * std::pow(r, -0.7 / order) * std::pow(previous, 0.4 / order), kShrink, kGrow);
  return accepted ? factor : std::min(factor, kSafety);
}

double torchdiffeq_factor(double ratio, int order) {
  if (ratio == 0) return kGrow;
  const double least = ratio < 1 ? 1 : kShrink;
  return std::min(kGrow, std::max(kSafety / std::pow(ratio, 1.0 / order), least));
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

}  // namespace

void SolveStatistics::record_accepted(double h) {
  accepted += 1;
  smallest_step = smallest_step == 0 ? h : std::min(smallest_step, h);
  largest_step = std::max(largest_step, h);
}

void SolveStatistics::add(const SolveStatistics& other, double weight) {
  evaluations += weight * other.evaluations;
  accepted += weight * other.accepted;
  rejected += weight * other.rejected;
  if (other.smallest_step > 0)
    smallest_step =
        smallest_step == 0 ? other.smallest_step : std::min(smallest_step, other.smallest_step);
  largest_step = std::max(largest_step, other.largest_step);
}

double trial_step(double d0, double d1) { return d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1; }

double first_step(double h0, double d1, double d2, int order) {
  const double h1 = d1 <= 1e-15 && d2 <= 1e-15 ? std::max(1e-6, 1e-3 * h0)
                                               : std::pow(0.01 / std::max(d1, d2), 1.0 / order);
  return std::min(100 * h0, h1);
}

StepControl::StepControl(const SolverOptions& options, double t0, double t1, double first)
    : options_(options), t1_(t1), sign_(t1 < t0 ? -1 : 1), t_(t0) {
  const double span = std::abs(t1 - t0);
  if (!options.tableau->adaptive)
    h_ = span / options.steps;
  else if (options.controller == Controller::Torchdiffeq)
    h_ = first;
  else
    h_ = std::min(first, span);
  done_ = span == 0;
}

StepControl::Attempt StepControl::attempt() {
  if (++attempts_ > options_.max_attempts)
    throw SolveFailure("the solver used up its " + std::to_string(options_.max_attempts) +
                           " attempts at t = " + number(t_) + " with h = " + number(h_) +
                           "; loosen rtol and atol, raise maxAttempts, or regularise the flow",
                       t_, h_);
  // Below a few ulps of t the stage times coincide.
  const double ulp = std::numeric_limits<double>::epsilon() * std::max(std::abs(t_), std::abs(t1_));
  if (!(h_ >= 16 * ulp))
    throw SolveFailure(
        "the step underflowed at t = " + number(t_) + " with h = " + number(h_) +
            ": the flow is too stiff there for an explicit method; loosen rtol and atol, "
            "lower the learning rate, add weight decay or the kinetic regulariser",
        t_, h_);
  const double left = std::abs(t1_ - t_);
  const bool overshoots =
      options_.tableau->adaptive && options_.controller == Controller::Torchdiffeq;
  // A rest shorter than a hundredth of a step is taken along; no step is left for rounding to do.
  last_ = !overshoots && h_ * 1.01 >= left;
  attempted_ = last_ ? t1_ - t_ : sign_ * h_;
  return {t_, attempted_};
}

bool StepControl::judge(double ratio) {
  const double size = std::abs(attempted_);
  if (!std::isfinite(ratio)) {
    statistics_.rejected += 1;
    if (++failures_ == 2 || !options_.tableau->adaptive)
      throw SolveFailure(
          "the state is not finite after a step from t = " + number(t_) +
              " with h = " + number(attempted_) +
              "; look for huge inputs or weights, lower the learning rate, clip gradients",
          t_, attempted_);
    h_ = kShrink * size;
    return false;
  }
  failures_ = 0;
  const bool accepted = !options_.tableau->adaptive || ratio <= 1;
  if (accepted) {
    statistics_.record_accepted(size);
    t_ = last_ ? t1_ : t_ + attempted_;
    done_ = last_ || sign_ * (t_ - t1_) >= 0;
  } else {
    statistics_.rejected += 1;
  }
  if (!options_.tableau->adaptive) return accepted;

  const int order = options_.tableau->order;
  if (options_.controller == Controller::Torchdiffeq) {
    h_ = size * torchdiffeq_factor(ratio, order);
  } else {
    h_ = size * pi_factor(ratio, previous_ratio_, accepted, order);
    if (accepted) previous_ratio_ = std::max(ratio, kLeastPrevious);
  }
  return accepted;
}

}  // namespace ffjord
