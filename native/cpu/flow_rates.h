// The rates of a block's state: dz/dt = f, d(−Δlogp)/dt = div f, dr/dt = ±ρ; channels [z | −Δlogp |
// r]. −Δlogp, so that the rates are what a TileNet writes.
#pragma once

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

inline void evaluate_flow(const BlockCall& call, int worker, const TimeSlot& time,
                          const RowConstants& constants, const float* state, float* rates) {
  const std::size_t rows = call.tiles.rows, count = call.regularisers();
  float* divergence = rates + call.z_size();
  float* regularisers = count > 0 ? divergence + rows : nullptr;
  auto& memory = call.workspace.worker(worker);
  call.net.evaluate(time,
                    {state, constants.noise, rates, divergence, regularisers, constants.terms},
                    call.workspace.activations(memory, 0), false);
  if (call.reverse)
    for (std::size_t i = 0; i < count * rows; ++i) regularisers[i] = -regularisers[i];
}

}  // namespace ffjord::cpu
