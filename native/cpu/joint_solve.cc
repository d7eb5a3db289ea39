#include "cpu/joint_solve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "core/errors.h"
#include "core/step_weights.h"
#include "core/stiffness.h"

namespace ffjord::cpu {
namespace {

constexpr std::size_t kRowsNamed = 16;  // of those that made a solve fail

}  // namespace

void TileStates::resize(std::size_t tiles, const Channels& channels, std::size_t rows) {
  size_ = channels.count * rows;
  rows_ = rows;
  values_.resize(tiles * (4 * size_ + rows_));
}

bool reads_stages(const SolverOptions& options, std::span<const double> stops) {
  return !stops.empty() ||
         (options.controller == Controller::Torchdiffeq && options.tableau->adaptive);
}

JointSolve::JointSolve(const SolverOptions& options, const std::stop_token& stop,
                       TileSystem& system, const TileGroup& group, StageTimes& times,
                       TileStates& states, std::span<StepScratch> scratch)
    : options_(options),
      tableau_(*options.tableau),
      stop_(stop),
      system_(system),
      group_(group),
      channels_(system.channels()),
      times_(times),
      states_(states),
      scratch_(scratch),
      stepper_(tableau_, channels_, group.tiles.rows, {options.rtol, options.atol}),
      sums_(group.count),
      changes_(group.count) {
  times_.use(tableau_);
}

TileStep JointSolve::view(std::size_t tile) const {
  return {states_.state(tile, current_), states_.state(tile, 1 - current_),
          states_.rates(tile, current_), states_.rates(tile, 1 - current_),
          states_.row_errors(tile)};
}

StepScratch& JointSolve::scratch(int worker, std::size_t tile) const {
  StepScratch& scratch = scratch_[group_.keeps_stages ? tile : worker];
  scratch.resize(channels_, group_.tiles.rows, tableau_.stages - 1);
  return scratch;
}

void JointSolve::run(double t0, double t1, std::span<const double> stops) {
  for (; next_stop_ < stops.size() && stops[next_stop_] == t0; ++next_stop_)
    group_.for_each(
        [&](int, std::size_t tile) { system_.reach_stop(next_stop_, tile, state(tile)); });
  if (t0 == t1) return;
  try {
    advance(t0, t1, stops);
  } catch (const SolveFailure& failure) {
    if (group_.sums) await_culprit(*group_.sums, failure.rows);
    throw;
  }
}

// Each sum over the tiles, as a tree over slots, and then over processes.
double JointSolve::norm(double shared) {
  std::array<double, 3 + Channels::kMostTensors> totals;  // rows, changes, tensors
  const auto total = [&](const auto& of_tile) {
    if (!group_.slots) return double(of_tile(0));
    std::vector<double> values(group_.count);
    for (std::size_t i = 0; i < group_.count; ++i) values[i] = double(of_tile(i));
    return tree_sum(group_.slots->sums(values));
  };
  totals[0] = total([&](std::size_t i) { return group_.tiles.rows_in(group_.first + i); });
  for (std::size_t k = 0; k < change_.size(); ++k)
    totals[1 + k] = total([&](std::size_t i) { return changes_[i][k]; });
  for (std::size_t tensor = 0; tensor < channels_.tensors.size(); ++tensor)
    totals[3 + tensor] = total([&](std::size_t i) { return sums_[i][tensor]; });
  if (group_.sums) group_.sums->sum(std::span<double>(totals));

  const double rows = totals[0];
  change_ = {totals[1], totals[2]};
  if (std::isnan(shared)) return shared;
  double largest = shared;
  for (std::size_t tensor = 0; tensor < channels_.tensors.size(); ++tensor) {
    if (channels_.tensors[tensor] == 0) continue;
    const double rms =
        std::sqrt(totals[3 + tensor] / (rows * static_cast<double>(channels_.tensors[tensor])));
    if (std::isnan(rms)) return rms;
    largest = std::max(largest, rms);
  }
  return largest;
}

// The size of Hairer's first step; leaves k_0.
double JointSolve::start(double t0, double t1) {
  const auto for_each_sum = [&](auto&& sum_of) {
    group_.for_each([&](int worker, std::size_t tile) {
      sums_[tile - group_.first] =
          sum_of(worker, tile, group_.tiles.rows_in(tile), view(tile), scratch(worker, tile));
    });
  };
  times_.set(t0, 0, 0, 1);
  std::vector<TensorSums> rate_sums(group_.count);
  for_each_sum([&](int worker, std::size_t tile, std::size_t used, const TileStep& step,
                   StepScratch& scratch) {
    system_.evaluate(worker, tile, 0, times_.of(0), step.start, step.first);
    rate_sums[tile - group_.first] =
        stepper_.scaled_squares(step.first, step.start, step.start, used, scratch, step.row_errors);
    return stepper_.scaled_squares(step.start, step.start, step.start, used, scratch,
                                   scratch.error.data());
  });
  with_first_ = false;
  const double d0 = norm(0);
  sums_.swap(rate_sums);
  const double d1 = norm(system_.shared_rate_norm());
  if (!std::isfinite(d0) || !std::isfinite(d1)) {
    SolveFailure failure = start_not_finite(t0);
    failure.rows = rows_over(std::numeric_limits<float>::max());
    throw failure;
  }

  const double h0 = (t1 < t0 ? -1 : 1) * trial_step(d0, d1);
  times_.set(t0 + h0, 0, 0, 1);
  for_each_sum([&](int worker, std::size_t tile, std::size_t used, const TileStep& step,
                   StepScratch& scratch) {
    const std::size_t inputs = channels_.inputs * group_.tiles.rows;
    const std::size_t size = channels_.count * group_.tiles.rows;
    const double one = 1;
    combine(scratch.point.data(), step.start, h0, {&one, 1}, {step.first}, 1, 0, inputs);
    system_.evaluate(worker, tile, TileSystem::kTrialStage, times_.of(0), scratch.point.data(),
                     step.last);
    combine(scratch.error.data(), step.last, -1, {&one, 1}, {step.first}, 1, 0, size);
    return stepper_.scaled_squares(scratch.error.data(), step.start, step.start, used, scratch,
                                   step.row_errors);
  });
  const double d2 = norm(system_.shared_change_norm()) / std::abs(h0);
  statistics_.evaluations += 2;
  return first_step(std::abs(h0), d1, d2, tableau_.order);
}

void JointSolve::advance(double t0, double t1, std::span<const double> stops) {
  StepControl control(options_, t0, t1, tableau_.adaptive ? start(t0, t1) : 0);
  try {
    step_to_end(control, t1, stops);
  } catch (SolveFailure& failure) {
    failure.rows = rows_over(1);
    throw;
  }
  SolveStatistics counts = control.statistics();
  counts.smallest_step_row = statistics_.smallest_step_row;
  statistics_.add(counts);
}

void JointSolve::step_to_end(StepControl& control, double t1, std::span<const double> stops) {
  while (!control.done()) {
    if (stop_.stop_requested()) throw Error(ErrorCode::Cancelled, "the solve was stopped");
    const StepControl::Attempt attempt = control.attempt();
    const bool passes = std::abs(attempt.h) > std::abs(t1 - attempt.t);
    const Step step{attempt.t, attempt.h, passes ? (t1 - attempt.t) / attempt.h : 1};
    system_.attempt(step);
    const double ratio = try_step(step);
    const double stiff =
        tableau_.adaptive ? stiffness(tableau_, step.h, change_[0], change_[1]) : 0;
    if (control.judge(ratio, stiff)) {
      if (tableau_.adaptive && control.is_smallest()) statistics_.smallest_step_row = worst_row();
      pass_stops(step, stops);
      accept(step);
    } else {
      system_.reject();
    }
  }
}

double JointSolve::try_step(const Step& step) {
  times_.set(step.t, step.h, with_first_ ? 0 : 1, tableau_.stages, group_.team);
  group_.for_each([&](int worker, std::size_t tile) {
    const TileStep tile_step = view(tile);
    if (fresh_) system_.begin_step(tile, tile_step.start);
    sums_[tile - group_.first] =
        stepper_.attempt(system_, worker, tile, group_.tiles.rows_in(tile), times_, with_first_,
                         tile_step, scratch(worker, tile));
    const StepScratch& memory = scratch(worker, tile);
    const auto sum_of = [&](const std::vector<double>& values) {
      return std::accumulate(values.begin(), values.begin() + group_.tiles.rows_in(tile), 0.0);
    };
    changes_[tile - group_.first] = {sum_of(memory.rate_changes), sum_of(memory.argument_changes)};
  });
  statistics_.evaluations += tableau_.stages - (with_first_ ? 0 : 1);
  fresh_ = with_first_ = false;
  return norm(tableau_.adaptive ? system_.shared_error_norm(step.h) : 0);
}

void JointSolve::accept(const Step& step) {
  system_.accept(step);
  if (step.theta != 1) {
    const StageWeights weights = step_weights(tableau_, step.theta);
    group_.for_each([&](int worker, std::size_t tile) {
      const TileStep tile_step = view(tile);
      stepper_.interpolate(step.h, weights, tile_step, scratch(worker, tile), tile_step.end);
    });
  }
  current_ = 1 - current_;
  fresh_ = true;
  with_first_ = !end_known_;
  end_known_ = false;
}

void JointSolve::pass_stops(const Step& step, std::span<const double> stops) {
  end_known_ = tableau_.fsal;
  for (; next_stop_ < stops.size(); ++next_stop_) {
    const double theta = (stops[next_stop_] - step.t) / step.h;
    if (theta > step.theta) return;
    if (theta < 1 && !end_known_) evaluate_end(step);
    const StageWeights weights = step_weights(tableau_, theta);
    group_.for_each([&](int worker, std::size_t tile) {
      StepScratch& memory = scratch(worker, tile);
      stepper_.interpolate(step.h, weights, view(tile), memory, memory.error.data());
      system_.reach_stop(next_stop_, tile, memory.error.data());
    });
  }
}

void JointSolve::evaluate_end(const Step& step) {
  times_.set(step.t + step.h, 0, 0, 1);
  group_.for_each([&](int worker, std::size_t tile) {
    const TileStep tile_step = view(tile);
    system_.evaluate(worker, tile, tableau_.end_stage(), times_.of(0), tile_step.end,
                     tile_step.last);
  });
  statistics_.evaluations += 1;
  end_known_ = true;
}

std::size_t JointSolve::worst_row() const {
  std::size_t worst = group_.tiles.first_row(group_.first);
  float largest = -1;
  for (std::size_t tile = group_.first; tile < group_.first + group_.count; ++tile)
    for (std::size_t row = 0; row < group_.tiles.rows_in(tile); ++row) {
      const float error = states_.row_errors(tile)[row];
      if (error <= largest) continue;
      largest = error;
      worst = group_.tiles.first_row(tile) + row;
    }
  return worst;
}

std::vector<std::size_t> JointSolve::rows_over(float limit) const {
  std::vector<std::size_t> rows;
  for (std::size_t tile = group_.first; tile < group_.first + group_.count; ++tile)
    for (std::size_t row = 0; row < group_.tiles.rows_in(tile) && rows.size() < kRowsNamed; ++row)
      if (!(states_.row_errors(tile)[row] <= limit))
        rows.push_back(group_.tiles.first_row(tile) + row);
  return rows;
}

}  // namespace ffjord::cpu
