// What a step leaves as a linear combination of its stages.
#pragma once

#include "core/tableau.h"

namespace ffjord {

/// b_i(θ) of y(t + θh) = y₀ + h Σ b_i(θ) k_i, up to end_stage(); at θ = 1 it is b to the last bit.
StageWeights step_weights(const Tableau& tableau, double theta);

}  // namespace ffjord
