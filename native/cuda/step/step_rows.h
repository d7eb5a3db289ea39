// What a step does to rows: stage points, the end of an attempt with its error, acceptance. States
// are (B, S) rows of S channels, of which the first I are what the rates depend on.
#pragma once

#include <array>

#include "cuda/step/device_tableau.h"
#include "cuda/step/group.h"
#include "cuda/step/norm_part.h"
#include "cuda/step/stage_point.h"

namespace ffjord::cuda {

struct StepArrays {
  Groups groups;
  int batch = 0, channels = 0, inputs = 0;  ///< B, S, I
  float* y = nullptr;                       ///< (B, S) before the step
  float* end = nullptr;                     ///< (B, S) after it
  float* point = nullptr;                   ///< (B, I)
  float* stages = nullptr;                  ///< (stages, B, S): k_i

  __host__ __device__ std::size_t size() const { return std::size_t(batch) * channels; }
  __host__ __device__ float* stage(int i) const { return stages + i * size(); }
};

struct Step {
  double t = 0, h = 0, theta = 1;
};

/// Accepted steps and the inputs before them; null: not kept.
struct StepTape {
  float* states = nullptr;  ///< (capacity, B, columns)
  Step* steps = nullptr;    ///< [groups][capacity]
  int capacity = 0, columns = 0;
};

/// States where a step passes given times (Controller::Torchdiffeq).
struct StopArrays {
  const double* times = nullptr;
  int count = 0;
  float* states = nullptr;  ///< (count, B, S)
};

/// The point of a stage, yet to be combined.
StagePoint stage_point(const StepArrays& arrays, const DeviceTableau& tableau, int stage);
/// Combines it in a kernel of its own; its values are there from then on.
void combine_point(const Groups& groups, int batch, int inputs, StagePoint& point,
                   const Stream& stream);
/// point ← y + h k₀, h the group's.
void trial_point(const StepArrays& arrays, const Stream& stream);
/// The squares of y and of k₀, each over y; parts of the second behind those of the first.
void start_squares(const StepArrays& arrays, const ErrorNorm& norm, const Stream& stream);
/// The squares of k₁ − k₀ over y.
void change_squares(const StepArrays& arrays, const ErrorNorm& norm, const Stream& stream);

/// How many parts a norm is summed in: a row each where rows step alone, else a tile of them.
int norm_parts(int batch, int rows);

}  // namespace ffjord::cuda
