// The pullback of one Runge-Kutta step on one tile, its stages as the solve kept them or
// recomputed: y₁ = y₀ + h Σ w_i k_i with k_i = F(t + c_i h, Y_i), Y_i = y₀ + h Σ_j a_ij k_j. k̄_i =
// h w_i λ + h Σ_(j>i) a_ji Ȳ_j, and λ becomes λ + Σ Ȳ_i.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/step_weights.h"
#include "cpu/block_call.h"
#include "cpu/flow_rates.h"
#include "cpu/step_times.h"
#include "cpu/tile_step.h"

namespace ffjord::cpu {

class StepPullback {
 public:
  StepPullback(const BlockCall& call, const Tableau& tableau)
      : call_(call),
        tableau_(tableau),
        channels_(call.dimension + 1 + call.regularisers()),
        size_(channels_ * call.tiles.rows) {}

  /// Stages that carry a cotangent; an FSAL stage does only where the interpolant uses it (θ ≠ 1).
  int stages(double theta) const {
    return theta == 1 ? tableau_.differentiated_stages() : tableau_.stages;
  }

  /// A tile before a step, and the cotangent λ after it; [channel][rows].
  struct Tile {
    RowConstants constants;
    std::size_t used;    // rows that count
    const float* state;  // z
    float* bar;          // [z | −Δlogp | r], of which z's channels become those before the step
    float* terms_bar;    // of the context, added to; null without one
    GradientSlot* target;  // of the weights; may be null
    /// The stages' evaluations: each that the solve kept, else null; or none.
    std::span<const std::unique_ptr<KeptEvaluation>> kept = {};

    const KeptEvaluation* kept_stage(int stage) const {
      return kept.empty() ? nullptr : kept[stage].get();
    }
  };
  /// Returns h h̄ + Σ t t̄, summed over rows.
  double pull(int worker, const Tile& tile, StepTimes& times, double theta) const;

 private:
  float* rates_of(Workspace::Worker& memory, int stage) const {
    return memory.rates.data() + stage * size_;
  }
  float* bars_of(Workspace::Worker& memory, int stage) const {
    return memory.bars.data() + stage * size_;
  }
  float* regularisers_of(float* channels) const {
    return call_.regularisers() > 0 ? channels + call_.z_size() + call_.tiles.rows : nullptr;
  }
  StagePointers rates(Workspace::Worker& memory, const Tile& tile, StepTimes& times,
                      int count) const;
  void pull_stage(const StageWeights& weights, int stage, int count, const float* h,
                  const float* bar, const StagePointers& argument_bars, float* rate_bar) const;
  double dot(const float* a, const float* b, std::size_t used) const;

  const BlockCall& call_;
  const Tableau& tableau_;
  const std::size_t channels_, size_;
};

}  // namespace ffjord::cpu
