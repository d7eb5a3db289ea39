// One Runge-Kutta step of one tile: stages, end state, error. All loops run over [channel][row]
// arrays.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "core/tableau.h"
#include "cpu/aligned.h"
#include "cpu/step_times.h"
#include "cpu/tile_system.h"

namespace ffjord::cpu {

using StagePointers = std::array<const float*, kMaxStages>;

/// result = y + h Σ_(j < stages) weights_j k_j over the elements [begin, end); y may be `result`,
/// and null for zero.
void combine(float* result, const float* y, double h, std::span<const double> weights,
             const StagePointers& k, int stages, std::size_t begin, std::size_t end);

/// The same with an h a row, [rows]; `begin` and `end` stand between channels.
void combine_rows(float* result, const float* y, const float* h, std::size_t rows,
                  std::span<const double> weights, const StagePointers& k, int stages,
                  std::size_t begin, std::size_t end);

/// Sums over rows and channels of (value / (atol + rtol max(|y₀|, |y₁|)))², one a tensor; NaN where
/// y₁ is not finite.
using TensorSums = std::array<double, Channels::kMostTensors>;

/// Memory of one worker, or of one tile.
struct StepScratch {
  AlignedFloats stages;          // k_1 … , [stage][channel][rows]
  AlignedFloats point;           // Y_i, [channel][rows]
  AlignedFloats error;           // [channel][rows]
  std::vector<double> row_sums;  // [rows]
  // Sums of squares over z of the changes between the last two stages, [rows]: see core/stiffness.h
  std::vector<double> rate_changes, argument_changes;

  void resize(const Channels& channels, std::size_t rows, int stages_kept);
};

/// The states and rates of a tile before and after a step, all [channel][rows].
struct TileStep {
  const float* start;  // y₀
  float* end;          // y₁
  float* first;        // k_0
  float* last;         // f(t + h, y₁): the last stage of FSAL methods
  float* row_errors;   // [rows]: the row's own norm, squared; NaN where it is not finite
};

struct Tolerance {
  double rtol, atol;
};

class TileStepper {
 public:
  TileStepper(const Tableau& tableau, const Channels& channels, std::size_t rows,
              const Tolerance& tolerance)
      : tableau_(tableau), channels_(channels), rows_(rows), tolerance_(tolerance) {}

  /// An attempt. With `with_first`, k_0 is evaluated too.
  TensorSums attempt(TileSystem& system, int worker, std::size_t tile, std::size_t used_rows,
                     StepTimes& times, bool with_first, const TileStep& step,
                     StepScratch& scratch) const;

  /// y₀ + h Σ weights_j k_j after an attempt, from the stages that `scratch` still holds, and
  /// f(t + h, y₁) where it has a weight.
  void interpolate(double h, std::span<const double> weights, const TileStep& step,
                   const StepScratch& scratch, float* result) const;

  /// `values` may be null for zero; `row_errors` as in TileStep.
  TensorSums scaled_squares(const float* values, const float* y0, const float* y1,
                            std::size_t used_rows, StepScratch& scratch, float* row_errors) const;

  /// k_0 …, and f(t + h, y₁) as number end_stage().
  StagePointers stages(const TileStep& step, const StepScratch& scratch) const;

 private:
  void measure_changes(const StepTimes& times, const StagePointers& k, std::size_t used_rows,
                       StepScratch& scratch) const;

  const Tableau& tableau_;
  const Channels channels_;
  const std::size_t rows_;
  const Tolerance tolerance_;
};

}  // namespace ffjord::cpu
