// Reverse over dual on a tile: DenseTileNet::pullback.
#pragma once

#include "cpu/backward_pass.h"
#include "cpu/bottleneck.h"
#include "cpu/closed_pullback.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline double DenseTileNet::pullback(const TimeSlot& slot, const TileCotangents& arrays,
                                     Activations& activations, GradientSlot* gradients,
                                     double* times_bar) const {
  const auto& time = static_cast<const NetTime&>(slot);
  auto& memory = static_cast<TileActivations&>(activations);
  Reverse reverse{time, arrays, memory, static_cast<NetGradient*>(gradients), 0, times_bar};
  if (memory.evaluation.form == Form::Bottleneck) return pull_bottleneck(reverse);

  const Panels seeds = panels(memory.cotangents[0], memory.columns, features_at(layer_count()));
  load_seeds(reverse, seeds);
  if (memory.evaluation.form == Form::Closed) {
    prepare_closed(reverse);
    finish_closed(reverse);
  }
  add_to_rows(pass_of(memory), pull_layers(reverse, 0, layer_count(), seeds, false), arrays.z);
  return reverse.t_bar;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
