// θ̄ of a continuous adjoint: dθ̄/dt = −λᵀ ∂f/∂θ, summed into slots stage by stage and committed with
// an accepted step.
#pragma once

#include <span>
#include <vector>

#include "core/step_weights.h"
#include "cpu/block_call.h"
#include "cpu/tile_slots.h"

namespace ffjord::cpu {

class AdjointGradients {
 public:
  /// `gradients` is the size of the flat buffer, 0 where no gradients are wanted.
  AdjointGradients(const BlockCall& call, AdjointNorm norm, std::span<const ParameterRange> ranges,
                   std::size_t gradients);

  const TileSlots& slots() const { return slots_; }

  /// Where the pullback of a stage adds a tile's gradients, and what its cotangents are scaled by.
  struct Target {
    GradientSlot* slot = nullptr;  ///< null: none are wanted
    float scale = 1;
  };
  Target target(int stage, std::size_t tile) const;

  void attempt(const Step& step);
  void accept(const Step& step);
  void reject();

  /// The largest RMS of a tensor under AdjointNorm::Full; else 0.
  double rate_norm();
  double change_norm();
  double error_norm(double h);

  void add_to(std::span<float> gradients) const;

 private:
  // Seminorm: the first stage and an FSAL one stand alone, as they serve two steps; the others are
  // summed with their weights. Full: one set a stage, and one of the trial.
  enum Set : std::size_t { kFirst, kLast, kBetween, kSeminormSets };
  bool full() const { return norm_ == AdjointNorm::Full; }
  void clear(std::size_t set);
  void commit(std::size_t set, double weight);
  void collect(std::size_t set);
  void collect_attempt();
  double largest_rms(std::span<const float> values, std::span<const float> end) const;

  const BlockCall& call_;
  const Tableau& tableau_;
  const AdjointNorm norm_;
  const std::span<const ParameterRange> ranges_;
  const TileSlots slots_;
  std::vector<std::vector<GradientSlot*>> sets_;
  StageWeights weights_{};
  std::vector<float> sum_;                 // θ̄, as the flat buffer
  std::vector<std::vector<float>> rates_;  // Full: ∂(λᵀf)/∂θ at each stage, and at the trial
  bool first_collected_ = false;
};

}  // namespace ffjord::cpu
