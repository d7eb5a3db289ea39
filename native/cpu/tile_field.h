// Where the nets of all kinds begin and end on a tile: z and ε become columns, columns become f,
// its divergence and regularisers; and the cotangents of these become those of the columns.
#pragma once

#include <algorithm>

#include "core/regularisers.h"
#include "cpu/regulariser_sums.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// What an evaluation computes beside f.
enum class Form { Values, Tangents, Closed, Bottleneck };

struct Evaluation {
  Form form = Form::Values;
  int tangents = 0;    ///< a row
  bool unit = false;   ///< the tangents are e_1 … e_D
  bool exact = false;  ///< they, or lattices, which sum up to the divergence
  bool regularisers = false;

  /// Of a tangent in the divergence: 1/K of probes.
  float tangent_weight() const { return exact ? 1.f : 1.f / float(std::max(tangents, 1)); }
};

/// Some strips of a tile with some of their tangents, which pass a net together. A pass is a whole
/// evaluation but for what it leaves to others: sums over tangents add up over passes, and what
/// values alone give counts in the first of them.
struct FieldPass {
  int dimension = 0;
  bool residual = false;
  std::size_t rows = 0;  ///< of the tile
  Evaluation evaluation;
  Columns columns;  ///< of the pass
  int first_strip = 0, first_tangent = 0;
  bool first = true;
  /// Of a lattice: the probe that is 1 at an element of z, where the others are 0; else null.
  const int* probe_of = nullptr;

  int tangents() const { return columns.channels - 1; }
  std::size_t row(int strip) const { return std::size_t(first_strip + strip) * kLanes; }

  /// Element i of ε, of the pass's tangent number k.
  Vec eps(const float* eps, int k, int i, int strip) const {
    const int number = first_tangent + k;
    if (probe_of) return splat(probe_of[i] == number ? 1.f : 0.f);
    if (evaluation.unit) return splat(i == number ? 1.f : 0.f);
    return load(eps + (std::size_t(number) * dimension + i) * rows + row(strip));
  }
  StripField field(const Panels& input, const Panels& output, int strip) const {
    return {input,
            output,
            strip * columns.channels,
            dimension,
            evaluation.form == Form::Tangents ? tangents() : 0,
            evaluation.tangent_weight(),
            residual,
            first_tangent,
            first};
  }
};

/// z and ε of a pass → `input`.
inline void load_columns(const FieldPass& pass, const float* z, const float* eps,
                         const Panels& input) {
  const int channels = pass.columns.channels;
  for (int g = 0; g < pass.columns.strips; ++g)
    for (int i = 0; i < pass.dimension; ++i) {
      store(input.column(g * channels) + std::size_t(i) * kFeatureStride,
            load(z + i * pass.rows + pass.row(g)));
      for (int k = 0; k + 1 < channels; ++k)
        store(input.column(g * channels + k + 1) + std::size_t(i) * kFeatureStride,
              pass.eps(eps, k, i, g));
    }
}

/// What the net left → f, divergence and regularisers. `sums` ([R][rows]) keeps the regularisers'
/// sums, of which passes with further tangents add theirs.
inline void write_field(const FieldPass& pass, const TileArrays& arrays,
                        const Regularisers& regularisers, float* sums, const Panels& input,
                        const Panels& output) {
  const int dimension = pass.dimension, channels = pass.columns.channels;
  for (int g = 0; g < pass.columns.strips; ++g) {
    const std::size_t row = pass.row(g);
    const StripField field = pass.field(input, output, g);
    if (pass.first)
      for (int i = 0; i < dimension; ++i) store(arrays.f + i * pass.rows + row, field.velocity(i));
    if (arrays.divergence && pass.evaluation.form == Form::Tangents) {
      Vec divergence = {};
      for (int i = 0; i < dimension; ++i)
        for (int k = 0; k < pass.tangents(); ++k) {
          const Vec tangent =
              load(output.column(g * channels + k + 1) + std::size_t(i) * kFeatureStride);
          divergence = fma(pass.eps(arrays.eps, k, i, g), tangent, divergence);
        }
      divergence = divergence * splat(field.tangent_weight);
      if (!pass.first)
        divergence = divergence + load(arrays.divergence + row);
      else if (pass.residual)
        divergence = divergence - splat(float(dimension));
      store(arrays.divergence + row, divergence);
    }
    if (!pass.evaluation.regularisers) continue;
    std::size_t at = row;
    for (const Regulariser* one : regularisers) {
      Vec sum = row_sum(one->sum, field);
      if (!pass.first) sum = sum + load(sums + at);
      store(sums + at, sum);
      store(arrays.regularisers + at, regulariser_value(*one, dimension, sum));
      at += pass.rows;
    }
  }
}

/// Cotangents of f, divergence and regularisers → those of the columns that the net left; z̄ gets
/// what reaches z past the net.
inline void load_seeds(const FieldPass& pass, const TileCotangents& arrays,
                       const Regularisers& regularisers, const float* sums, const Panels& input,
                       const Panels& output, const Panels& seeds) {
  const int dimension = pass.dimension;
  for (int g = 0; g < pass.columns.strips; ++g) {
    const std::size_t row = pass.row(g);
    const int column = g * pass.columns.channels;
    const StripField field = pass.field(input, output, g);
    Vec divergence_bar = {};
    if (arrays.divergence)
      divergence_bar = load(arrays.divergence + row) * splat(field.tangent_weight);
    for (int i = 0; i < dimension; ++i) {
      const std::size_t at = std::size_t(i) * kFeatureStride;
      store(seeds.column(column) + at, pass.first ? load(arrays.f + i * pass.rows + row) : Vec{});
      for (int k = 0; k < field.tangents; ++k)
        store(seeds.column(column + k + 1) + at, pass.eps(arrays.eps, k, i, g) * divergence_bar);
    }
    if (arrays.regularisers && pass.evaluation.regularisers) {
      std::size_t at = row;
      for (const Regulariser* one : regularisers) {
        pull_regulariser(*one, field, load(sums + at), load(arrays.regularisers + at), seeds);
        at += pass.rows;
      }
    }
    for (int i = 0; i < dimension; ++i) {
      Vec z_bar = {};
      if (pass.residual) z_bar = -load(seeds.column(column) + std::size_t(i) * kFeatureStride);
      float* const to = arrays.z + i * pass.rows + row;
      store(to, pass.first ? z_bar : load(to) + z_bar);
    }
  }
}

/// Adds the cotangents of the values to z̄ [D][rows].
inline void add_to_rows(const FieldPass& pass, const Panels& input_bar, float* z_bar) {
  for (int g = 0; g < pass.columns.strips; ++g)
    for (int i = 0; i < pass.dimension; ++i) {
      float* const to = z_bar + i * pass.rows + pass.row(g);
      store(to, load(to) + load(input_bar.column(g * pass.columns.channels) +
                                std::size_t(i) * kFeatureStride));
    }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
