// One worker's tile of places, each with a row that has its own t and h. A row that arrives leaves
// its place to the next of the queue.
#pragma once

#include <optional>
#include <vector>

#include "core/step_control.h"
#include "cpu/row_queue.h"
#include "cpu/step_log.h"
#include "cpu/tile_system.h"

namespace ffjord::cpu {

class RowPlaces final : public TileSystem {
 public:
  RowPlaces(RowBatch& batch, int worker, bool logs_steps);

  /// Until no row is left.
  void run();

  const StepLog& log() const { return log_; }
  const RowFailures& failures() const { return failures_; }

  Channels channels() const override { return channels_; }
  void evaluate(int worker, std::size_t, int, const TimeSlot& time, const float* state,
                float* rates) override {
    evaluate_flow(call_, worker, time, tile_.constants(), state, rates);
  }
  void begin_step(std::size_t, const float*) override {}
  void reach_stop(std::size_t, std::size_t, const float*) override {}
  void accept(const Step&) override {}

 private:
  /// The row in a place.
  struct Holder {
    std::size_t row = 0;
    std::optional<StepControl> control;  // none: the place is free
    StepControl::Attempt step{};
    bool first_known = true;  // k_0
    bool end_known = false;   // f(t + h, y₁) of an accepted step
    std::size_t next_stop = 0;
    double evaluations = 0;
  };

  TileStep view() {
    return {tile_.start.data(), end_.data(), tile_.first.data(), last_.data(), row_errors_.data()};
  }
  bool accepted(std::size_t place) const { return accepted_[place] != 0; }
  double theta(const Holder& holder) const;
  bool passes_stop(const Holder& holder) const;
  double stiffness_of(std::size_t place) const;

  /// Returns whether any place is taken.
  bool fill();
  void take(std::size_t place);
  void fail(Holder& holder, const SolveFailure& failure);
  /// One attempt of every row; free places idle with h = 0.
  void attempt();
  void judge();
  /// Shows the states at stops within accepted steps.
  void show_stops();
  /// f at the end of such steps where the method has no stage there: the row's next k_0.
  void evaluate_ends();
  /// `value(channel)` is the row's state at its next stop.
  template <class Value>
  void store_stop(Holder& holder, Value value);
  /// Rows go on from their accepted steps; those that have arrived leave.
  void go_on();
  void leave(std::size_t place);
  void log_steps();

  RowBatch& batch_;
  const BlockCall& call_;
  const SolverOptions& options_;
  const Tableau& tableau_;
  const Channels channels_;
  const std::size_t places_;
  const int worker_;
  const bool logs_steps_;
  const TileStepper stepper_;
  RowTimes times_;
  StepScratch scratch_;
  RowTile tile_;
  AlignedFloats end_, last_;             // y₁, f(t + h, y₁), [channel][places]
  AlignedFloats row_errors_, accepted_;  // [places]
  std::vector<Holder> holders_;
  StepLog log_;
  RowFailures failures_;
  RowQueue queue_;
};

}  // namespace ffjord::cpu
