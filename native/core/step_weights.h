// What a step leaves as a linear combination of its stages.
#pragma once

#include <array>

#include "core/tableau.h"

namespace ffjord {

using StageWeights = std::array<double, kMaxStages>;

/// y(t + θh) = y₀ + h Σ weights_i k_i: the tableau's b at θ = 1, else dopri5's quartic through y₀,
/// f₀, y_mid, y₁ and f₁ (Shampine 1986), which is linear in the stages as well.
StageWeights step_weights(const Tableau& tableau, double theta);

}  // namespace ffjord
