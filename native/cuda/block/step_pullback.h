// What the pullback of a step does to rows: k̄_i = h w_i λ + h Σ_(j>i) a_ji Ȳ_j, and λ ← λ + Σ Ȳ_i.
#pragma once

#include "cuda/step/step_rows.h"

namespace ffjord::cuda {

struct StepBars {
  Groups groups;
  int batch = 0, channels = 0, inputs = 0;  ///< B, S, I
  int stages = 0;                           ///< that are differentiated
  const float* rates = nullptr;             ///< (stages, B, S): k_i
  float* bar = nullptr;                     ///< λ (B, S)
  float* point_bars = nullptr;              ///< Ȳ_i (stages, B, I)
  float* rate_bar = nullptr;                ///< k̄_i (B, S)
  double* row_sums = nullptr;               ///< (B): Σ h h̄ + t t̄
};

/// y (B, S) ← the inputs before the groups' present steps.
void load_states(const StepTape& tape, const StepArrays& arrays, const Stream& stream);
void pull_stage_input(const StepBars& bars, const DeviceTableau& tableau, int stage,
                      const Stream& stream);
/// row_sums += k̄_i · k_i + t_i t̄; `time_bars` (parts, B).
void add_row_sums(const StepBars& bars, int stage, double c, const float* time_bars, int parts,
                  const Stream& stream);
void finish_bars(const StepBars& bars, const Stream& stream);

}  // namespace ffjord::cuda
