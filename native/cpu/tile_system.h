// The differential equation that a solve integrates, one tile of rows at a time.
#pragma once

#include <array>
#include <cstddef>

#include "cpu/tile_net.h"

namespace ffjord::cpu {

/// Channels of a tile's state, [channel][rows]. The first `inputs` are what the rates depend on.
/// The first Σ tensors are in the error norm: RMS of each tensor over the rows that step together,
/// the largest counts.
struct Channels {
  static constexpr int kMostTensors = 4;
  std::size_t count = 0, inputs = 0;
  std::array<std::size_t, kMostTensors> tensors{};  ///< numbers of channels; 0: absent
};

/// An accepted step. The solution goes on from t + θh; θ is 1 but for a last step that went past
/// the end and was interpolated (Controller::Torchdiffeq).
struct Step {
  double t = 0, h = 0, theta = 1;
};

class TileSystem {
 public:
  static constexpr int kTrialStage = -1;  ///< the evaluation that only sizes the first step

  virtual ~TileSystem() = default;
  virtual Channels channels() const = 0;

  /// The rates at `state` as stage number `stage`; tiles of one worker come one after the other.
  virtual void evaluate(int worker, std::size_t tile, int stage, const TimeSlot& time,
                        const float* state, float* rates) = 0;

  /// A step is first tried from `state`.
  virtual void begin_step(std::size_t tile, const float* state) = 0;
  /// The solve passed stop number `stop` with `state`.
  virtual void reach_stop(std::size_t stop, std::size_t tile, const float* state) = 0;

  /// On the thread that leads the solve, before and after each attempt.
  virtual void attempt(const Step& /*step*/) {}
  virtual void accept(const Step& step) = 0;
  virtual void reject() {}

  /// Norms of what all tiles share and no tile holds (the weights' cotangent of an adjoint): of the
  /// rates at the start, of their change in the trial, of the error of an attempt of size h.
  virtual double shared_rate_norm() { return 0; }
  virtual double shared_change_norm() { return 0; }
  virtual double shared_error_norm(double /*h*/) { return 0; }
};

}  // namespace ffjord::cpu
