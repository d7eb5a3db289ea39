// Cotangents through the layers of a tile in reverse. Seeds z̄ = f̄, ū = ε div̄; per layer W̄ += z̄
// aᵀ + ū ȧᵀ, (ā, ǡ) = Wᵀ(z̄, ū), z̄ = σ' ā + σ''u ǡ, ū = σ' ǡ.
#pragma once

#include "cpu/dense_tile_net.h"
#include "cpu/layer_backward.h"
#include "cpu/parameter_pullback.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

using BackwardKernel = Vec (*)(const BackwardArguments&);

template <class A>
BackwardKernel backward_kernel(int tangents, bool gated) {
  if (tangents == 0) return gated ? backward_layer<A, 0, true> : backward_layer<A, 0, false>;
  if (tangents == 1) return gated ? backward_layer<A, 1, true> : backward_layer<A, 1, false>;
  if (tangents == 2) return gated ? backward_layer<A, 2, true> : backward_layer<A, 2, false>;
  return gated ? backward_layer<A, kAnyTangents, true> : backward_layer<A, kAnyTangents, false>;
}

inline BackwardKernel backward_kernel(Activation activation, int tangents, bool gated) {
  return with_activation(activation,
                         [&]<class A>(A) { return backward_kernel<A>(tangents, gated); });
}

/// Fills the seeds, and begins z̄ with what reaches z past the net.
inline void DenseTileNet::load_seeds(Reverse& reverse, const Panels& seeds) const {
  TileActivations& memory = reverse.memory;
  const Columns& columns = memory.columns;
  const Panels input = panels(memory.outputs[0], columns, features_at(0));
  const Panels output = panels(memory.outputs[layer_count()], columns, dimension_);
  FFJORD_INSTRUCTION_SET::load_seeds(pass_of(memory), reverse.arrays, memory.regularisers,
                                     memory.regulariser_sums.data(), input, output, seeds);
}

/// Pulls cotangents back through the activation and gate of layer l, in place; with `above`, after
/// bringing them there through the layer above.
inline void DenseTileNet::pull_back_activation(Reverse& reverse, int l, const Panels& cotangents,
                                               const Panels& above) const {
  TileActivations& memory = reverse.memory;
  const NetTime& time = reverse.time;
  const Layer& layer = layers_[l];
  const Columns& columns = memory.columns;
  const int features = features_at(l + 1);
  BackwardArguments arguments{.above = above,
                              .rows = layer.out(),
                              .columns = columns,
                              .cotangents = cotangents,
                              .activations = panels(memory.outputs[l + 1], columns, features).data,
                              .gate = gate_vectors(time, memory, l),
                              .shift = time.vectors(time.layers[l].shift, strips_),
                              .beta = layer.beta,
                              .sums = memory.sums.data(),
                              .gate_sums = memory.gate_sums.data()};
  if (above.data) {
    arguments.matrix = &backward_matrix(time, l + 1);
    if (const int rank = layers_[l + 1].amortised.rank)
      arguments.low_rank = {panels(memory.low_rank_bars[l + 1], columns, rank),
                            left_terms(memory.terms, l + 1)};
  }
  if (layer.keeps_preactivations())
    arguments.preactivations = panels(memory.preactivations[l + 1], columns, features).data;
  if (layer.activation == Activation::Softplus) arguments.slopes = memory.slopes[l + 1].data();
  if (memory.evaluation.form == Form::Closed && l + 1 < layer_count()) {
    arguments.closed_tangents = memory.closed_tangents[l].data();
    arguments.closed_cotangents = memory.closed_cotangents[l].data();
  }
  // Where every row has its own gates, pull_back_own_gates applies them.
  const bool gated = layer.gated() && !own_gates(time, l);
  const Vec beta_bar = backward_kernel(layer.activation, columns.channels - 1, gated)(arguments);
  if (reverse.gradient) reverse.gradient->layers[l].beta += sum_of_lanes(beta_bar);
}

inline Panels DenseTileNet::pull_layers(Reverse& reverse, int first, int end, const Panels& seeds,
                                        bool tangents) const {
  const NetTime& time = reverse.time;
  TileActivations& memory = reverse.memory;
  const Columns& columns = memory.columns;
  Panels bar = seeds;
  std::size_t current = 0;
  const auto next_array = [&]() -> AlignedFloats& {
    current = (current + 1) % memory.cotangents.size();
    return memory.cotangents[current];
  };
  pull_back_activation(reverse, end - 1, bar, {});
  for (int l = end - 1; l > first; --l) {
    finish_layer(reverse, l, bar);
    const Panels next = panels(next_array(), columns, features_at(l));
    if (layers_[l].expanded()) {
      multiply(backward_matrix(time, l), bar, next, columns);
      contract_input(reverse, l, next);
      pull_back_activation(reverse, l - 1, next, {});
    } else {
      pull_back_activation(reverse, l - 1, next, bar);
    }
    bar = next;
  }
  finish_layer(reverse, first, bar);

  const Panels input_bar = panels(next_array(), columns, features_at(first));
  const PackedMatrix& matrix = backward_matrix(time, first);
  if (layers_[first].expanded()) {
    multiply(matrix, bar, input_bar, columns);
    contract_input(reverse, first, input_bar);  // t̄ takes the tangents' share
  } else if (tangents) {
    multiply(matrix, bar, input_bar, columns);
  } else {
    multiply_values(matrix, bar, input_bar, columns);
  }
  if (const int rank = layers_[first].amortised.rank)
    spread_terms(
        {panels(memory.low_rank_bars[first], columns, rank), left_terms(memory.terms, first)},
        columns, input_bar, 0, layers_[first].in());
  return input_bar;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
