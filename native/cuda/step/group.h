// Rows that step together, as the kernels read them: all of a batch, a tile of it (Control::Tile),
// or single rows (Control::Sample, and where a velocity is asked for at a time a row).
#pragma once

#include "core/step_rule.h"
#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

/// Rows of a group under Control::Tile.
inline constexpr int kGroupRows = 32;

struct Group {
  StepRule<double> rule;
  double t = 0, h = 0;  ///< of the step under way: stage i is at t + c_i h
  double theta = 1;     ///< the solution goes on from t + θ h
  int working = 0;      ///< kernels pass by the rows of a group that is not
  int accepted = 0;     ///< the last attempt was
  int step = 0;         ///< accepted steps
  int present = 0;      ///< number of the step that is pulled back
  int first_known = 0;  ///< whether the first stage is that of the step before
  int lacks_room = 0;   ///< no attempt was made, as the tape is full
  int not_finite_at_start = 0;
  int evaluations = 0;
  int smallest_row = 0;             ///< whose error was largest in the smallest accepted step
  double stiffness_sum = 0;         ///< over accepted steps
  double start_norms[2] = {};       ///< of y₀ and f₀, for the first step's size
  double first_step = 0;            ///< 0: not sized yet
  int next_stop = 0, end_stop = 0;  ///< stops that the accepted step passed (Torchdiffeq)

  /// SolveStatistics::stiffness
  __host__ __device__ double stiffness() const {
    return rule.accepted > 0 ? stiffness_sum / rule.accepted : 0;
  }
  __host__ __device__ bool can_go_on() const {
    return !rule.done && rule.failure == StepFailure::None && !not_finite_at_start;
  }
};

struct Groups {
  Group* data = nullptr;
  int count = 0;
  int rows = 1;  ///< of each but the last
  /// How single rows follow each other in the tiles of products, those at work before the others;
  /// null: as in the batch.
  const int* order = nullptr;
  int pixels = 1;  ///< of a sample, where each of them is a row here

  /// The groups of the pixels of their rows.
  Groups pixels_of(std::size_t count_of_row) const {
    return {data, count, rows * static_cast<int>(count_of_row), order,
            static_cast<int>(count_of_row)};
  }
  __device__ int row_at(int place) const {
    return order ? order[place / pixels] * pixels + place % pixels : place;
  }
  __device__ Group& of_row(int row) const { return data[row / rows]; }
  __device__ bool works(int row, int batch) const { return row < batch && of_row(row).working; }
  /// Stage time c of a group, in float as the nets take it.
  __device__ float time(int group, double c) const {
    return static_cast<float>(data[group].t + c * data[group].h);
  }
};

}  // namespace ffjord::cuda
