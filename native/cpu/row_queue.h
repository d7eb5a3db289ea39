// The rows of a batch that wait for a place in a tile, their first steps sized. Workers draw whole
// tiles of rows from the batch, so that none waits for another.
#pragma once

#include <atomic>
#include <map>
#include <vector>

#include "core/errors.h"
#include "cpu/flow_rates.h"
#include "cpu/row_times.h"
#include "cpu/tile_step.h"

namespace ffjord::cpu {

/// What all workers of a solve share.
struct RowBatch {
  const BlockCall& call;
  const BlockRows<float>& rows;
  std::span<const float> eps;
  const AlignedFloats& terms;  // of the context, [tile][P][rows]
  const BlockTrajectory<float>* trajectory;
  std::atomic<std::size_t> next_tile{0};         // of rows that nobody has taken yet
  std::vector<float> ends = {};                  // (B, channels)
  std::vector<SolveStatistics> statistics = {};  // (B)

  std::span<const double> stops() const {
    return trajectory ? trajectory->times : std::span<const double>();
  }
};

using RowFailures = std::map<std::size_t, SolveFailure>;  ///< by row

/// Rows before a step, with what stays with them; all [channel][rows].
struct RowTile {
  AlignedFloats start, first;  // y₀, k_0
  AlignedFloats noise, terms;  // ε, and what the context adds

  explicit RowTile(const RowBatch& batch);
  RowConstants constants() const;
  /// Column `from_column` of `from` → column `column`.
  void copy(std::size_t column, const RowTile& from, std::size_t from_column);

 private:
  std::size_t rows_;
};

class RowQueue {
 public:
  /// `times` and `scratch` are the worker's, between its steps.
  RowQueue(RowBatch& batch, int worker, const TileStepper& stepper, RowTimes& times,
           StepScratch& scratch, RowFailures& failures);

  /// Whether a row waits, where need be of the next tile of the batch.
  bool has_row();

  struct Row {
    std::size_t row;
    double first_step;
  };
  /// The row that waited longest, which is copied to `column` of `tile`.
  Row take(RowTile& tile, std::size_t column);

 private:
  /// Returns false where the batch has no tile left.
  bool draw_tile();
  void load(std::size_t tile);
  void size_first_steps(std::size_t tile);

  RowBatch& batch_;
  const BlockCall& call_;
  const Tableau& tableau_;
  const Channels channels_;
  const int worker_;
  const TileStepper& stepper_;
  RowTimes& times_;
  StepScratch& scratch_;
  RowFailures& failures_;
  RowTile tile_;
  AlignedFloats trial_rates_;                                         // [channel][rows]
  AlignedFloats trial_sizes_, start_norms_, rate_norms_, row_norms_;  // [rows]
  std::vector<Row> waiting_;                                          // of `tile_`
  std::size_t next_ = 0;
};

}  // namespace ffjord::cpu
