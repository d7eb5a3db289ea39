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

// Of the stability interval, on average: above it a solve counts as stiff.
constexpr double kStiff = 0.5;

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

double trial_step(double d0, double d1) { return d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1; }

double first_step(double h0, double d1, double d2, int order) {
  const double h1 = d1 <= 1e-15 && d2 <= 1e-15 ? std::max(1e-6, 1e-3 * h0)
                                               : std::pow(0.01 / std::max(d1, d2), 1.0 / order);
  return std::min(100 * h0, h1);
}

SolveFailure start_not_finite(double t0) {
  return {"the state or its velocity is not finite at the start, t = " + number(t0) +
              "; look for values in the input or weights that are not finite",
          t0, 0};
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
                           what_limits_steps(),
                       t_, h_);
  // Below a few ulps of t the stage times coincide.
  const double ulp = std::numeric_limits<double>::epsilon() * std::max(std::abs(t_), std::abs(t1_));
  if (!(h_ >= 16 * ulp))
    throw SolveFailure(
        "the step underflowed at t = " + number(t_) + " with h = " + number(h_) + " after " +
            std::to_string(rejections_) +
            " rejections in a row: no step is small enough there, as at a pole, a jump, or where "
            "f(t, y) is not the same twice; look at f there, and for a flow lower the learning "
            "rate, clip gradients, add weight decay or the kinetic regulariser",
        t_, h_);
  const double left = std::abs(t1_ - t_);
  const bool overshoots =
      options_.tableau->adaptive && options_.controller == Controller::Torchdiffeq;
  // A rest shorter than a hundredth of a step is taken along; no step is left for rounding to do.
  last_ = !overshoots && h_ * 1.01 >= left;
  attempted_ = last_ ? t1_ - t_ : sign_ * h_;
  return {t_, attempted_};
}

std::string StepControl::what_limits_steps() const {
  const double stiffness = statistics_.stiffness();
  if (stiffness > kStiff)
    return ": its steps are as long as stability allows (stiffness " + number(stiffness) +
           "), so looser tolerances save little; smooth the flow (kinetic or jacobian "
           "regulariser, weight decay, a lower learning rate), or raise maxAttempts";
  return ": accuracy asks for steps this short (stiffness " + number(stiffness) +
         "); loosen rtol and atol, take a method of higher order, regularise the flow, or raise "
         "maxAttempts";
}

bool StepControl::judge(double ratio, double stiffness) {
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
    rejections_ = 0;
    statistics_.record_accepted(size, stiffness);
    t_ = last_ ? t1_ : t_ + attempted_;
    done_ = last_ || sign_ * (t_ - t1_) >= 0;
  } else {
    ++rejections_;
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
