// One evaluation of f and its divergence on a tile: DenseTileNet::evaluate.
#pragma once

#include "cpu/bottleneck.h"
#include "cpu/forward_pass.h"
#include "cpu/vector_jacobian.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline Evaluation DenseTileNet::plan(const TileActivations& memory, const NetTime& time,
                                     const TileArrays& arrays) const {
  Evaluation evaluation;
  evaluation.regularisers = arrays.regularisers != nullptr;
  const bool tangents =
      evaluation.regularisers && memory.regularisers.needing(Derivatives::Tangents);
  if (!arrays.divergence && !tangents) return evaluation;
  if (!tangents && closed_applies(memory.trace, time.own)) {
    evaluation.form = Form::Closed;
    return evaluation;
  }
  if (memory.trace.divergence == Divergence::Bottleneck) {
    evaluation.form = Form::Bottleneck;
    return evaluation;
  }
  evaluation.form = Form::Tangents;
  evaluation.unit = evaluation.exact = memory.trace.exact();
  evaluation.tangents = evaluation.unit ? dimension_ : memory.trace.probes;
  return evaluation;
}

inline void DenseTileNet::evaluate(const TimeSlot& slot, const TileArrays& arrays,
                                   Activations& activations, bool keep) const {
  const auto& time = static_cast<const NetTime&>(slot);
  auto& memory = static_cast<TileActivations&>(activations);
  memory.evaluation = plan(memory, time, arrays);
  if (memory.evaluation.form == Form::Bottleneck)
    return evaluate_bottleneck(time, arrays, memory, keep);
  const Evaluation wanted = memory.evaluation;
  const bool vjp = memory.trace.divergence == Divergence::Vjp && wanted.form == Form::Tangents;
  if (vjp) memory.evaluation = {.form = Form::Values, .regularisers = wanted.regularisers};

  const auto run = [&](bool keep_tape) {
    memory.columns = {strips_, memory.evaluation.tangents + 1};
    load_input(arrays, memory);
    run_layers(time, arrays.terms, memory, keep_tape, 0, layer_count());
  };
  run(keep || vjp);
  write_output(time, arrays, memory,
               panels(memory.output(layer_count(), keep || vjp), memory.columns, dimension_));
  if (!vjp) return;
  evaluate_vjp(time, arrays, memory);
  if (!keep) return;
  memory.evaluation = wanted;  // the pullback differentiates the equal tangent form
  run(true);
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
