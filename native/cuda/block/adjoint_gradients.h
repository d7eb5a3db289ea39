// θ̄ of a continuous adjoint: dθ̄/dt = −λᵀ ∂f/∂θ. Each stage's rates stand on their own until the
// step is judged; what is accepted is summed.
#pragma once

#include <vector>

#include "cuda/step/joint_solve.h"

namespace ffjord::cuda {

/// A part of a tensor, for one block of threads.
struct TensorPart {
  int tensor = 0;
  std::size_t offset = 0, size = 0;
};

class AdjointGradients {
 public:
  /// `tensors`: sizes of the block's tensors, which follow each other in the `gradient`.
  AdjointGradients(const SolverOptions& options, const std::vector<std::size_t>& tensors,
                   AdjointNorm norm, const Groups& groups, float* gradient, const Stream& stream);

  /// Where the pullback of a stage adds up, cleared; null where its weight is zero throughout.
  float* target(int stage);
  const double* start_norm();
  const double* change_norm();
  const double* error_norm();
  void conclude();
  /// Adds θ̄, which starts from zero, to the gradient.
  void add_up();

 private:
  enum class Measure { Rate, Change, Error };
  bool full() const { return norm_ == AdjointNorm::Full; }
  float* rates(int stage) { return rates_.data() + stage * parameters_; }
  const double* largest_rms(Measure measure);

  const SolverOptions options_;
  const Tableau& tableau_;
  const DeviceTableau weights_;
  const AdjointNorm norm_;
  const Groups groups_;
  float* const gradient_;
  const Stream& stream_;
  std::size_t parameters_ = 0;
  std::size_t tensor_count_ = 0;
  DeviceArray<float> sums_;   ///< θ̄
  DeviceArray<float> rates_;  ///< (stages + 1, parameters): the last of the trial
  DeviceArray<TensorPart> parts_;
  DeviceArray<double> squares_;  ///< one for each part
  DeviceArray<double> norm_value_;
};

}  // namespace ffjord::cuda
