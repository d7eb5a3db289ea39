// The arithmetic of step control on plain numbers: it throws nothing and follows no pointer, so
// that a device can carry it out where the state lies. StepControl (step_control.h) carries it out
// on a host.
//
// Templates of a number type that is always double: constexpr functions are the ones that a device
// compiler accepts as they stand, and only a template may be constexpr while it calls std::pow.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace ffjord {

/// Why a solve cannot go on.
enum class StepFailure { None, AttemptsSpent, Underflow, NotFinite };

/// What steers the steps; equal for all rows of a solve.
struct StepPolicy {
  int order = 0;  ///< of the propagated solution
  int max_attempts = 0;
  int steps = 0;  ///< of fixed-step methods, over the interval
  bool adaptive = false;
  bool torchdiffeq = false;  ///< Controller::Torchdiffeq
};

namespace step_rule {

inline constexpr double kSafety = 0.9, kShrink = 0.2, kGrow = 10;
// Hairer's first step errs on the small side, and its tiny ratio would hold the next steps back:
// the ramp costs one step of five without this floor, at equal error.
inline constexpr double kLeastPrevious = 1e-2;
// For the same reason the first step is taken twice as long.
inline constexpr double kBolderStart = 2;
// The end is reached in equal steps from so many steps before it on, rather than by a short last
// one: as many evaluations, a smaller error. Earlier the forecast of h is not good enough.
inline constexpr double kEvenSteps = 4;

// A proportional-integral controller on the error per step (Gustafsson 1991), with the exponents
// 0.7/k and 0.4/k; it may shrink the step after an accepted one. Takes the ratios' logarithms: a
// row that steps alone pays one log and one exp for its step.
template <class Real>
constexpr Real pi_factor(Real log_ratio, Real log_previous, bool accepted, int order) {
  const Real factor =
      std::clamp(kSafety * std::exp((Real(0.4) * log_previous - Real(0.7) * log_ratio) / order),
                 Real(kShrink), Real(kGrow));
  return accepted ? factor : std::min(factor, Real(kSafety));
}

template <class Real>
constexpr Real torchdiffeq_factor(Real ratio, int order) {
  if (ratio == 0) return kGrow;
  const Real least = ratio < 1 ? 1 : kShrink;
  return std::min(Real(kGrow), std::max(kSafety / std::pow(ratio, Real(1) / order), least));
}

}  // namespace step_rule

template <class Real>
struct StepRule {
  Real t1 = 0, sign = 1;
  Real t = 0, h = 0;
  Real attempted = 0;     ///< signed size of the attempt under judgement
  Real log_previous = 0;  ///< of the ratio accepted last
  Real accepted = 0, rejected = 0;
  Real smallest_step = 0, largest_step = 0;  ///< of accepted steps, absolute
  int attempts = 0;
  int failures = 0, rejections = 0;  ///< in a row: not finite; of finite ratios
  Real planned = 0;                  ///< equal steps to the end; 0 where it is too far to tell
  bool last = false, done = false;
  StepFailure failure = StepFailure::None;

  /// Hairer, Nørsett, Wanner, Solving ODEs I, II.4, in two halves around the trial evaluation.
  /// d0, d1: norms of y₀ and f₀ over atol + rtol |y₀|; d2: norm of (f₁ − f₀)/h₀ so scaled.
  static constexpr Real trial_step(Real d0, Real d1) {
    return d0 < 1e-5 || d1 < 1e-5 ? Real(1e-6) : Real(0.01) * d0 / d1;
  }
  static constexpr Real first_step(Real h0, Real d1, Real d2, int order) {
    const Real h1 = d1 <= 1e-15 && d2 <= 1e-15
                        ? std::max(Real(1e-6), Real(1e-3) * h0)
                        : std::pow(Real(0.01) / std::max(d1, d2), Real(1) / order);
    return std::min(100 * h0, h1);
  }

  /// From t0 to `end`; `first` is Hairer's size of the first step, which `pi` doubles and
  /// fixed-step methods ignore.
  constexpr void begin(const StepPolicy& policy, Real t0, Real end, Real first) {
    const Real span = std::abs(end - t0);
    *this = StepRule();
    t1 = end;
    sign = end < t0 ? -1 : 1;
    t = t0;
    if (!policy.adaptive)
      h = span / policy.steps;
    else
      h = policy.torchdiffeq ? first : std::min(step_rule::kBolderStart * first, span);
    done = span == 0;
  }

  /// Sets `attempted`; false, with `failure` set, where no further attempt makes sense.
  constexpr bool attempt(const StepPolicy& policy) {
    if (++attempts > policy.max_attempts) return fail(StepFailure::AttemptsSpent);
    // Below a few ulps of t the stage times coincide.
    const Real ulp = std::numeric_limits<Real>::epsilon() * std::max(std::abs(t), std::abs(t1));
    if (!(h >= 16 * ulp)) return fail(StepFailure::Underflow);
    const Real left = std::abs(t1 - t);
    const bool overshoots = policy.adaptive && policy.torchdiffeq;
    // A rest shorter than a hundredth of a step is taken along; no step is left for rounding to do.
    Real count = std::ceil(left / h - Real(0.01));
    if (policy.adaptive && !overshoots) {
      // As long as the planned steps are accepted the plan holds: to cut what is left anew after
      // each of them could halve it for ever.
      if (planned > 0) count = std::min(count, planned);
      planned = count <= step_rule::kEvenSteps ? count : 0;
      if (planned > 0) h = left / planned;
    }
    last = !overshoots && count <= 1;
    attempted = last ? t1 - t : sign * h;
    return true;
  }

  /// `ratio`: the error norm of the attempt, NaN or infinite where the state is. Returns whether
  /// the step is accepted, and moves t and h; sets `failure` at the second non-finite ratio in a
  /// row.
  constexpr bool judge(const StepPolicy& policy, Real ratio) {
    const Real size = std::abs(attempted);
    if (!(std::abs(ratio) <= std::numeric_limits<Real>::max())) {
      rejected += 1;
      planned = 0;
      if (++failures == 2 || !policy.adaptive) return fail(StepFailure::NotFinite);
      h = step_rule::kShrink * size;
      return false;
    }
    failures = 0;
    const bool accepts = !policy.adaptive || ratio <= 1;
    if (accepts) {
      accepted += 1;
      rejections = 0;
      smallest_step = smallest_step == 0 ? size : std::min(smallest_step, size);
      largest_step = std::max(largest_step, size);
      t = last ? t1 : t + attempted;
      done = last || sign * (t - t1) >= 0;
      planned = std::max(planned - 1, Real(0));
    } else {
      rejected += 1;
      planned = 0;
      ++rejections;
    }
    if (!policy.adaptive) return accepts;

    if (policy.torchdiffeq) {
      h = size * step_rule::torchdiffeq_factor(ratio, policy.order);
    } else {
      const Real log_ratio = std::log(std::max(ratio, Real(1e-10)));
      h = size * step_rule::pi_factor(log_ratio, log_previous, accepts, policy.order);
      if (accepts) log_previous = std::max(log_ratio, std::log(Real(step_rule::kLeastPrevious)));
    }
    return accepts;
  }

 private:
  constexpr bool fail(StepFailure reason) {
    failure = reason;
    return false;
  }
};

}  // namespace ffjord
