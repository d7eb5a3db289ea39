// The passes of values and tangents through the layers of a tile, from z and ε to f, its divergence
// and regularisers.
#pragma once

#include <algorithm>

#include "cpu/dense_tile_net.h"
#include "cpu/low_rank.h"
#include "cpu/row_terms.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

using ForwardKernel = void (*)(const ForwardArguments&);

template <class A, int Tangents>
ForwardKernel forward_kernel(bool gated, bool keeps) {
  if (keeps) return forward_layer<A, Tangents, true, true>;
  return gated ? forward_layer<A, Tangents, true, false> : forward_layer<A, Tangents, false, false>;
}

template <class A>
ForwardKernel forward_kernel(int tangents, bool gated, bool keeps) {
  if (tangents == 0) return forward_kernel<A, 0>(gated, keeps);
  if (tangents == 1) return forward_kernel<A, 1>(gated, keeps);
  if (tangents == 2) return forward_kernel<A, 2>(gated, keeps);
  return forward_kernel<A, kAnyTangents>(gated, keeps);
}

inline ForwardKernel forward_kernel(Activation activation, int tangents, bool gated, bool keeps) {
  return with_activation(activation,
                         [&]<class A>(A) { return forward_kernel<A>(tangents, gated, keeps); });
}

inline Panels DenseTileNet::panels(AlignedFloats& memory, const Columns& columns,
                                   int features) const {
  reserve(memory, columns.floats(features));
  return columns.place(memory.data(), features);
}

inline void DenseTileNet::load_input(const TileArrays& arrays, TileActivations& memory) const {
  load_columns(pass_of(memory), arrays.z, arrays.eps,
               panels(memory.outputs[0], memory.columns, features_at(0)));
}

/// (x) → (x, t x), for blend.
inline void DenseTileNet::expand_input(const NetTime& time, const Panels& input, int in,
                                       const Columns& columns) const {
  const RowVectors t = time.time_vectors();
  for (int n = 0; n < columns.count(); ++n) {
    float* column = input.column(n);
    const Vec factor = t.at(0, n / columns.channels);
    for (int i = 0; i < in; ++i)
      store(column + std::size_t(in + i) * kFeatureStride,
            factor * load(column + std::size_t(i) * kFeatureStride));
  }
}

inline void DenseTileNet::run_layers(const NetTime& time, const float* terms,
                                     TileActivations& memory, bool keep, int first, int end) const {
  const Columns& columns = memory.columns;
  const bool closed = memory.evaluation.form == Form::Closed;
  memory.terms = terms;
  for (int l = first; l < end; ++l) {
    const Layer& layer = layers_[l];
    const LayerTime& at = time.layers[l];
    const bool hidden = l + 1 < layer_count();
    const Panels in = panels(memory.output(l, keep), columns, features_at(l));
    const int out_features = features_at(l + 1);
    const Panels out = panels(memory.output(l + 1, keep), columns, out_features);
    if (layer.expanded()) expand_input(time, in, layer.in(), columns);
    if (context_.moves(l)) set_row_terms(time, l, terms, memory);
    if (layer.amortised.rank > 0) contract_low_rank(l, terms, in, memory);

    const PackedMatrix& matrix = layer.hyper() ? at.forward : layer.forward;
    ForwardArguments arguments{.matrix = &matrix,
                               .rows = layer.out(),
                               .columns = columns,
                               .in = in,
                               .out = out,
                               .gate = gate_vectors(time, memory, l),
                               .offset = offset_vectors(time, memory, l),
                               .beta = layer.beta};
    if (layer.amortised.rank > 0)
      arguments.low_rank = {panels(memory.low_rank[l], columns, layer.amortised.rank),
                            right_terms(terms, l)};
    if (keep && layer.keeps_preactivations())
      arguments.preactivations = panels(memory.preactivations[l + 1], columns, out_features).data;
    if (keep && layer.activation == Activation::Softplus) {
      reserve(memory.slopes[l + 1], layer.out() * rows());
      arguments.slopes = memory.slopes[l + 1].data();
    }
    if (closed && hidden)
      arguments.closed_tangents = panels(memory.closed_tangents[l], columns, out_features).data;
    const bool keeps = arguments.preactivations || arguments.slopes || arguments.closed_tangents;
    forward_kernel(layer.activation, columns.channels - 1, layer.gated(), keeps)(arguments);
  }
}

inline FieldPass DenseTileNet::pass_of(const TileActivations& memory) const {
  return {.dimension = dimension_,
          .residual = residual_,
          .rows = rows(),
          .evaluation = memory.evaluation,
          .columns = memory.columns};
}

/// f, divergence and regularisers from what the last layer left.
inline void DenseTileNet::write_output(const NetTime& time, const TileArrays& arrays,
                                       TileActivations& memory, const Panels& output) const {
  const Columns& columns = memory.columns;
  const Panels input = panels(memory.outputs[0], columns, features_at(0));
  write_field(pass_of(memory), arrays, memory.regularisers, memory.regulariser_sums.data(), input,
              output);
  if (memory.evaluation.form != Form::Closed) return;

  // tr = d₂ · (M d₁), or c · d₁.
  const ClosedTrace& closed = closed_trace(time);
  const bool two = layer_count() == 3;
  const int hidden = layers_[two ? 1 : 0].out();
  const Panels d = panels(memory.closed_tangents[two ? 1 : 0], columns, features_at(two ? 2 : 1));
  Panels product{};
  if (two) {
    product = panels(memory.closed_product, columns, features_at(2));
    const Panels d1 = panels(memory.closed_tangents[0], columns, features_at(1));
    multiply(closed.m, d1, product, columns);
  }
  for (int g = 0; g < strips_; ++g) {
    Vec sum = residual_ ? splat(-float(dimension_)) : Vec{};
    Vec partial = {};
    for (int j = 0; j < hidden; ++j) {
      const std::size_t at = d.offset(g) + std::size_t(j) * kFeatureStride;
      partial = fma(load(d.data + at), two ? load(product.data + at) : splat(closed.c[j]), partial);
    }
    store(arrays.divergence + std::size_t(g) * kLanes, sum + partial);
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
