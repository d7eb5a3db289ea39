// The rates of a block's state: dz/dt = f, d(−Δlogp)/dt = div f, dr/dt = ±ρ; channels [z | −Δlogp |
// r]. −Δlogp, so that the rates are what a TileNet writes.
#pragma once

#include <algorithm>

#include "cpu/block_call.h"
#include "cpu/tile_system.h"

namespace ffjord::cpu {

inline Channels flow_channels(const BlockCall& call) {
  return {call.dimension + 1 + call.regularisers(), call.dimension, {call.dimension, 1, 0}};
}

/// What stays with the rows of a tile: ε [K][D][rows], and their context's terms [P][rows]; null
/// where there is none.
struct RowConstants {
  const float* noise = nullptr;
  const float* terms = nullptr;
};

/// What a net makes of `state`: f, its divergence and the regularisers, which are not yet rates.
inline TileArrays flow_arrays(const BlockCall& call, const RowConstants& constants,
                              const float* state, float* values) {
  float* const divergence = values + call.z_size();
  return {state,
          constants.noise,
          values,
          divergence,
          call.regularisers() > 0 ? divergence + call.tiles.rows : nullptr,
          constants.terms};
}

/// With `kept`, leaves there what the pullback needs.
inline void evaluate_flow(const BlockCall& call, int worker, const TimeSlot& time,
                          const RowConstants& constants, const float* state, float* rates,
                          KeptEvaluation* kept = nullptr) {
  const std::size_t before = call.z_size() + call.tiles.rows;
  const std::size_t size = before + call.regularisers() * call.tiles.rows;
  Activations& own = call.workspace.activations(call.workspace.worker(worker), 0);
  if (kept) {
    kept->rates.resize(size);
    const BorrowedScratch scratch(call.net, *kept->activations, own);
    call.net.evaluate(time, flow_arrays(call, constants, state, kept->rates.data()),
                      *kept->activations, true);
    std::copy(kept->rates.begin(), kept->rates.end(), rates);
  } else {
    call.net.evaluate(time, flow_arrays(call, constants, state, rates), own, false);
  }
  if (call.reverse)
    for (std::size_t i = before; i < size; ++i) rates[i] = -rates[i];
}

}  // namespace ffjord::cpu
