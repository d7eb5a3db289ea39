// The low-rank terms of an amortised context in the passes of a tile.
#pragma once

#include "cpu/dense_tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// U (in, k)
inline LowRankTerms DenseTileNet::left_terms(const float* terms, int l) const {
  const int rank = layers_[l].amortised.rank;
  return {terms, layers_[l].amortised.left, rank, rank, 1, rows()};
}

/// V (k, out)
inline LowRankTerms DenseTileNet::right_terms(const float* terms, int l) const {
  return {terms, layers_[l].amortised.right, layers_[l].amortised.rank,
          1,     layers_[l].out(),           rows()};
}

/// x U of layer l, values and tangents.
inline void DenseTileNet::contract_low_rank(int l, const float* terms, const Panels& in,
                                            TileActivations& memory) const {
  const Panels s = panels(memory.low_rank[l], memory.columns, layers_[l].amortised.rank);
  contract_terms(in, layers_[l].in(), left_terms(terms, l), memory.columns, s);
}

/// Once the cotangents of layer l are complete: those of U and V, and of x U, which stay in memory
/// for what goes on to the layer below.
inline void DenseTileNet::pull_back_low_rank(Reverse& reverse, int l,
                                             const Panels& cotangents) const {
  TileActivations& memory = reverse.memory;
  const Columns& columns = memory.columns;
  const Layer& layer = layers_[l];
  const int rank = layer.amortised.rank;
  const LowRankTerms left = left_terms(memory.terms, l), right = right_terms(memory.terms, l);
  const Panels s_bar = panels(memory.low_rank_bar, columns, rank);
  contract_terms(cotangents, layer.out(), right, columns, s_bar);
  if (!reverse.arrays.terms) return;
  const Panels s = panels(memory.low_rank[l], columns, rank);
  const Panels input = panels(memory.outputs[l], columns, features_at(l));
  pull_terms(cotangents, layer.out(), s, right, columns, reverse.arrays.terms);
  pull_terms(input, layer.in(), s_bar, left, columns, reverse.arrays.terms);
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
