// Step control where the state lies: a thread for each group carries out core/step_rule.h, so that
// the host does not wait within a solve.
#pragma once

#include "cuda/step/step_rows.h"

namespace ffjord::cuda {

/// The attempts of a DeviceLoop's run.
struct Trips {
  int left = 0;   ///< after which the host looks, though groups go on
  int going = 0;  ///< whether a group goes on
};

struct ControlArguments {
  Groups groups;
  StepPolicy policy;
  int batch = 0, parts = 0;  ///< rows, and parts of ErrorNorm
  int stages = 0;
  bool fsal = false;
  double stability_limit = 0;      ///< of the tableau
  const StepTape* tape = nullptr;  ///< on the device; of capacity 0: none is kept
  ErrorNorm norm;
  const double* shared_norm = nullptr;  ///< of what no row holds; null: none
  StopArrays stops;
  Trips* trips = nullptr;  ///< on the device
};

/// Puts every group at (t, 0), working.
void place_groups(const Groups& groups, double t, const Stream& stream);
/// The same at a time a group.
void place_groups(const Groups& groups, const double* times, const Stream& stream);

/// Sets the trial's h after start_squares, or not_finite_at_start.
void choose_trial(const ControlArguments& arguments, double t0, double t1, const Stream& stream);
/// Sets the first step's size after change_squares.
void choose_first_step(const ControlArguments& arguments, const Stream& stream);
/// Begins to go from t0 to t1, with the first step, or that proposed last.
void begin_interval(const ControlArguments& arguments, double t0, double t1, const Stream& stream);
/// The next attempt of groups that are not done; others rest.
void begin_attempt(const ControlArguments& arguments, const Stream& stream);
/// The verdict on an attempt of one group, of whose norm the parts are there.
void judge_batch(const ControlArguments& arguments, const Stream& stream);
/// Single rows in the order that Groups::order has: `order` (B).
void order_rows(const Groups& groups, int* order, const Stream& stream);
/// The last kernel of a DeviceLoop's body: it ends where no group goes on, or no trip is left.
void end_trip(Trips* trips, LoopCondition condition, const Stream& stream);
/// The `back`-th step from the end is the groups' present one; those with fewer rest.
void load_step(const Groups& groups, const StepTape& tape, int back, const Stream& stream);

}  // namespace ffjord::cuda
