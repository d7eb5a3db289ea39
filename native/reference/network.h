// A net on one row: values and tangents pushed forward together (dual numbers), and pulled back
// (reverse over dual). Column 0 is the value, columns 1 … K the tangents ȧ_k.
#pragma once

#include <vector>

#include "reference/layer.h"

namespace ffjord::reference {

using Columns = std::vector<Vector>;

/// What one layer leaves for its pullback.
struct LayerTape {
  Columns input;    ///< a, ȧ_k
  Columns product;  ///< W a + b, W ȧ_k
  Vector before;    ///< z = g ⊙ (W a + b) + s, which the activation takes
};

struct RowTape {
  std::vector<LayerTape> layers;
  Columns output;  ///< net(a), and J ȧ_k
};

/// Layers first … end − 1 of a net.
struct LayerRange {
  std::size_t first = 0, end = 0;
};

class Network {
 public:
  /// `net` is placed; `parameters` are all weights.
  Network(const NetPlan& net, View parameters);

  std::size_t depth() const { return layers_.size(); }
  const std::vector<Layer>& layers() const { return layers_; }
  /// `context` (C) of a row; without one the layers are the same for all.
  std::vector<LayerAt> at(double t, View context) const;
  /// Chains the cotangents of `at(t, context)` to the weights and to `context_bar`, and returns t̄.
  double pullback(double t, View context, const std::vector<LayerAt>& bars, Target gradients,
                  Target context_bar) const;

  /// a' = σ(z) with z = g ⊙ (W a + b) + s;  ȧ' = σ'(z) ⊙ u with u = g ⊙ W ȧ.
  void push(const std::vector<LayerAt>& at, Columns input, RowTape& tape, LayerRange range) const;

  /// Cotangents of the output columns → of the columns that went in; `bars` collects those of the
  /// layers. `slope_bars` holds further cotangents of σ'(z), one vector a hidden layer, or is
  /// empty.
  Columns pull(const std::vector<LayerAt>& at, const RowTape& tape, Columns output_bars,
               const std::vector<Vector>& slope_bars, std::vector<LayerAt>& bars,
               LayerRange range) const;

  /// εᵀJ of the layers at the value that `tape` holds.
  Vector vector_jacobian(const std::vector<LayerAt>& at, const RowTape& tape, View eps,
                         LayerRange range) const;

  /// σ'(z) of layer `l`.
  Vector slopes(const std::vector<LayerAt>& at, const RowTape& tape, std::size_t l) const;

 private:
  /// Passes the activation behind a layer: (ā, ǡ_k, slope_bar) → (z̄, ū_k).
  void pull_activation(const Layer& layer, const LayerAt& at, const LayerTape& tape,
                       const Vector* slope_bar, Columns& bars, LayerAt& at_bar) const;
  /// Passes a layer: (z̄, ū_k) → (ā, ǡ_k).
  void pull_layer(const Layer& layer, const LayerAt& at, const LayerTape& tape, Columns& bars,
                  LayerAt& at_bar) const;

  std::vector<Layer> layers_;
};

}  // namespace ffjord::reference
