// The passes of values and tangents through the layers of a tile, from z and ε to f, its divergence
// and regularisers.
#pragma once

#include <algorithm>

#include "cpu/dense_tile_net.h"
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
  switch (activation) {
    case Activation::Tanh:
      return forward_kernel<TanhActivation>(tangents, gated, keeps);
    case Activation::Softplus:
      return forward_kernel<SoftplusActivation>(tangents, gated, keeps);
    case Activation::Elu:
      return forward_kernel<EluActivation>(tangents, gated, keeps);
    case Activation::Relu:
      return forward_kernel<ReluActivation>(tangents, gated, keeps);
    case Activation::Swish:
      return forward_kernel<SwishActivation>(tangents, gated, keeps);
    case Activation::Square:
      return forward_kernel<SquareActivation>(tangents, gated, keeps);
    case Activation::Identity:
      break;
  }
  return forward_kernel<IdentityActivation>(tangents, gated, keeps);
}

inline Panels DenseTileNet::panels(AlignedFloats& memory, const Columns& columns,
                                   int features) const {
  reserve(memory, columns.floats(features));
  return columns.place(memory.data(), features);
}

inline void DenseTileNet::load_input(const TileArrays& arrays, TileActivations& memory) const {
  const Columns& columns = memory.columns;
  const std::size_t rows = this->rows();
  const Panels input = panels(memory.outputs[0], columns, features_at(0));
  for (int g = 0; g < strips_; ++g)
    for (int i = 0; i < dimension_; ++i) {
      const std::size_t row = std::size_t(g) * kLanes;
      store(input.column(g * columns.channels) + i * kFeatureStride,
            load(arrays.z + i * rows + row));
      for (int k = 0; k + 1 < columns.channels; ++k) {
        const Vec tangent = memory.evaluation.unit
                                ? splat(i == k ? 1.f : 0.f)
                                : load(arrays.eps + (std::size_t(k) * dimension_ + i) * rows + row);
        store(input.column(g * columns.channels + k + 1) + i * kFeatureStride, tangent);
      }
    }
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
  for (int l = first; l < end; ++l) {
    const Layer& layer = layers_[l];
    const LayerTime& at = time.layers[l];
    const bool hidden = l + 1 < layer_count();
    const Panels in = panels(memory.output(l, keep), columns, features_at(l));
    const int out_features = features_at(l + 1);
    const Panels out = panels(memory.output(l + 1, keep), columns, out_features);
    if (layer.expanded()) expand_input(time, in, layer.in(), columns);
    if (context_.moves(l)) set_row_terms(time, l, terms, memory);

    const PackedMatrix& matrix = layer.hyper() ? at.forward : layer.forward;
    ForwardArguments arguments{.matrix = &matrix,
                               .rows = layer.out(),
                               .columns = columns,
                               .in = in,
                               .out = out,
                               .gate = gate_vectors(time, memory, l),
                               .offset = offset_vectors(time, memory, l),
                               .beta = layer.beta};
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

inline StripField DenseTileNet::field_of(const TileActivations& memory, const Panels& input,
                                         const Panels& output, int strip) const {
  const Evaluation& evaluation = memory.evaluation;
  return {input,
          output,
          strip * memory.columns.channels,
          dimension_,
          evaluation.tangents,
          evaluation.unit ? 1.f : 1.f / float(std::max(evaluation.tangents, 1)),
          residual_};
}

/// f, divergence and regularisers from what the last layer left.
inline void DenseTileNet::write_output(const NetTime& time, const TileArrays& arrays,
                                       TileActivations& memory, const Panels& output) const {
  const Evaluation& evaluation = memory.evaluation;
  const Columns& columns = memory.columns;
  const std::size_t rows = this->rows();
  const Panels input = panels(memory.outputs[0], columns, features_at(0));
  for (int g = 0; g < strips_; ++g) {
    const std::size_t row = std::size_t(g) * kLanes;
    const StripField field = field_of(memory, input, output, g);
    Vec divergence = {};
    for (int i = 0; i < dimension_; ++i) {
      store(arrays.f + i * rows + row, field.velocity(i));
      for (int k = 0; k < evaluation.tangents; ++k) {
        const Vec tangent = load(output.column(g * columns.channels + k + 1) + i * kFeatureStride);
        Vec eps = splat(i == k ? 1.f : 0.f);
        if (!evaluation.unit)
          eps = load(arrays.eps + (std::size_t(k) * dimension_ + i) * rows + row);
        divergence = fma(eps, tangent, divergence);
      }
    }
    if (arrays.divergence && evaluation.form == Form::Tangents) {
      divergence = divergence * splat(field.tangent_weight);
      if (residual_) divergence = divergence - splat(float(dimension_));
      store(arrays.divergence + row, divergence);
    }
    if (!evaluation.regularisers) continue;
    float* integrand = arrays.regularisers + row;
    for (const Regulariser* one : memory.regularisers) {
      store(integrand, regulariser_value(*one, field));
      integrand += rows;
    }
  }
  if (evaluation.form != Form::Closed) return;

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
