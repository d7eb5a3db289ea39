// The low-rank terms of an amortised context in the passes of a tile.
#pragma once

#include "cpu/dense_tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// U (in, k)
inline LowRankTerms DenseTileNet::left_terms(const float* terms, int l) const {
  return {terms, layers_[l].amortised.left, layers_[l].amortised.rank, rows()};
}

/// Vᵀ (out, k), as ContextMap lays it
inline LowRankTerms DenseTileNet::right_terms(const float* terms, int l) const {
  return {terms, layers_[l].amortised.right, layers_[l].amortised.rank, rows()};
}

/// x U of layer l, values and tangents.
inline void DenseTileNet::contract_low_rank(int l, const float* terms, const Panels& in,
                                            TileActivations& memory) const {
  const Panels s = panels(memory.low_rank[l], memory.columns, layers_[l].amortised.rank);
  contract_terms(in, layers_[l].in(), left_terms(terms, l), memory.columns, s);
}

/// Once the cotangents of layer l are complete: that of x U, for what goes on to the layer below.
inline void DenseTileNet::pull_back_low_rank(Reverse& reverse, int l,
                                             const Panels& cotangents) const {
  TileActivations& memory = reverse.memory;
  const Layer& layer = layers_[l];
  const Panels s_bar = panels(memory.low_rank_bars[l], memory.columns, layer.amortised.rank);
  contract_terms(cotangents, layer.out(), right_terms(memory.terms, l), memory.columns, s_bar);
}

/// Ū and V̄, of factors that the pullbacks left.
inline void DenseTileNet::pull_back_products(std::span<Activations* const> activations,
                                             float* terms) const {
  std::vector<LowRankFactors> inputs, outputs;
  for (int l = 0; l < layer_count(); ++l) {
    const Layer& layer = layers_[l];
    const int rank = layer.amortised.rank;
    if (rank == 0) continue;
    inputs.clear();
    outputs.clear();
    for (Activations* one : activations) {
      auto& memory = static_cast<TileActivations&>(*one);
      const Columns& columns = memory.columns;
      inputs.push_back({panels(memory.outputs[l], columns, features_at(l)),
                        panels(memory.low_rank_bars[l], columns, rank), columns.channels});
      outputs.push_back(
          {panels(memory.cotangents[layer_count() - 1 - l], columns, features_at(l + 1)),
           panels(memory.low_rank[l], columns, rank), columns.channels});
    }
    pull_terms(outputs, layer.out(), right_terms(nullptr, l), terms);
    pull_terms(inputs, layer.in(), left_terms(nullptr, l), terms);
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
