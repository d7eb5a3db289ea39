// How far a log-density may be from the true one, part by part.
#pragma once

#include "core/engine.h"

namespace ffjord {

/// One number a row (B). A row outside of the support has log p = −∞ and no errors.
struct CertifiedOutput {
  Output log_prob;
  /// Standard error of the mean over the probes of the trace; 0 of an exact one.
  Output probe_error;
  /// |log p − log p of a solve at a hundredth of the tolerance (or in twice the steps)|, same
  /// noise; and what a tighter tolerance does not undo: the rounding of the terms of log p, and
  /// half a unit in the last place of each number of the row, of the type that it was given in and
  /// of the one that the solver begins with, times the slope of log p along it.
  Output solver_error;
  /// max |x − flow⁻¹(flow(x))| over the elements of a row, in units of x.
  Output round_trip_error;
};

/// Fewer probes than kLeastProbes become kCertifyingProbes: Gaussian ones are skewed, and the mean
/// of 24 of them was covered by ± 2 standard errors in only 91 % of rows.
inline constexpr int kLeastProbes = 8, kCertifyingProbes = 64;

/// log p(x) with its errors. The probes of an estimated trace follow one trajectory, each as a row
/// of its own with the noise that a solve with all of them would draw, so that their spread is
/// seen. `request.noise` must be drawn, not given. Statistics are those of the first solve.
SolveResult certify(Flow& flow, const SolveRequest& request, const CertifiedOutput& output);

}  // namespace ffjord
