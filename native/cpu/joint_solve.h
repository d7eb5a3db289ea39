// The solve of tiles that share t and h: all of a batch, or one tile under Control::Tile. Where a
// step is accepted: core/step_control.
#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "core/options.h"
#include "core/step_control.h"
#include "cpu/stage_times.h"
#include "cpu/thread_pool.h"
#include "cpu/tile_slots.h"
#include "cpu/tile_step.h"
#include "cpu/tiles.h"

namespace ffjord::cpu {

/// States, rates and errors of all tiles of a batch: two of each, that before a step and that
/// after.
class TileStates {
 public:
  void resize(std::size_t tiles, const Channels& channels, std::size_t rows);

  float* state(std::size_t tile, int which) { return at(tile, which); }
  float* rates(std::size_t tile, int which) { return at(tile, 2 + which); }
  float* row_errors(std::size_t tile) { return at(tile, 4); }

 private:
  float* at(std::size_t tile, int part) {
    return values_.data() + tile * (4 * size_ + rows_) + part * size_;
  }
  std::size_t size_ = 0, rows_ = 0;
  AlignedFloats values_;
};

/// The tiles that step together.
struct TileGroup {
  Tiles tiles;
  std::size_t first = 0, count = 0;
  /// Runs a job for each tile of the group, under its number.
  std::function<void(const Job&)> for_each;
  /// Of tiles that step together: their norms add up as other sums do. Null: one tile.
  const TileSlots* slots = nullptr;
  /// Of all processes whose rows step together; null: of this one's.
  SharedSums* sums = nullptr;
  Team* team = nullptr;  ///< sets time slots; null: they are cheap, or the team is at work
  /// Every tile keeps its own scratch memory: stages are read after the verdict on all of them.
  bool keeps_stages = false;
};

/// Whether the stages of an accepted step are read once more: for stops on the way, and for the end
/// under Controller::Torchdiffeq.
bool reads_stages(const SolverOptions& options, std::span<const double> stops);

class JointSolve {
 public:
  /// `scratch` has one entry a worker, or one a tile where the group keeps stages.
  JointSolve(const SolverOptions& options, const std::stop_token& stop, TileSystem& system,
             const TileGroup& group, StageTimes& times, TileStates& states,
             std::span<StepScratch> scratch);

  /// Integrates from t0 to t1 the states numbered 0 of the group's tiles; interpolates `stops` on
  /// the way, which lie between, monotone. Throws SolveFailure with the offending rows, and
  /// Error(Cancelled).
  void run(double t0, double t1, std::span<const double> stops);

  /// After `run`: [channel][rows].
  const float* state(std::size_t tile) const { return states_.state(tile, current_); }
  const SolveStatistics& statistics() const { return statistics_; }

 private:
  TileStep view(std::size_t tile) const;
  StepScratch& scratch(int worker, std::size_t tile) const;
  double start(double t0, double t1);
  void advance(double t0, double t1, std::span<const double> stops);
  void step_to_end(StepControl& control, double t1, std::span<const double> stops);
  double try_step(const Step& step);
  void accept(const Step& step);
  /// Interpolates the stops within an accepted step.
  void pass_stops(const Step& step, std::span<const double> stops);
  /// f(t + h, y₁), where the method has no such stage: the next step's first.
  void evaluate_end(const Step& step);
  /// The error norm of `sums_` and of what the tiles share; adds up `changes_` besides.
  double norm(double shared);
  std::size_t worst_row() const;
  /// Rows whose last error is over `limit` or NaN.
  std::vector<std::size_t> rows_over(float limit) const;

  const SolverOptions options_;
  const Tableau& tableau_;
  const std::stop_token stop_;
  TileSystem& system_;
  const TileGroup& group_;
  const Channels channels_;
  StageTimes& times_;
  TileStates& states_;
  const std::span<StepScratch> scratch_;
  const TileStepper stepper_;

  int current_ = 0;         // which of a tile's states holds y₀
  bool fresh_ = true;       // no attempt was made from y₀ yet
  bool with_first_ = true;  // k_0 is not known
  bool end_known_ = false;  // nor is f(t + h, y₁) of the step under way
  std::size_t next_stop_ = 0;
  std::vector<TensorSums> sums_;                // of the group's tiles
  std::vector<std::array<double, 2>> changes_;  // of rates and arguments, as StepScratch has them
  std::array<double, 2> change_{};              // of all tiles
  SolveStatistics statistics_;
};

}  // namespace ffjord::cpu
