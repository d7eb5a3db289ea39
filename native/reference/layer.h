// A layer of the table (core/net_plan.h), y = g(t) ⊙ (W(t) a + b(t)) + s(t). `at` gives the four at
// one time, `pullback` chains their cotangents to the weights and to t. A context c joins b and the
// logit of g (Conditioning), so that a conditional layer differs from row to row.
#pragma once

#include <vector>

#include "core/net_plan.h"
#include "reference/vectors.h"

namespace ffjord::reference {

/// A layer at one time, or the cotangent of one.
struct LayerAt {
  Vector weight;  ///< W, as the linear map lays it out
  Vector bias;    ///< b (channels)
  Vector gate;    ///< g (channels); 1 for ungated kinds
  Vector shift;   ///< s (channels, plane): a map, as padding cuts a convolved t plane at the border
  double beta = 1;  ///< β of the swish behind the layer

  /// Zeros of the same shapes.
  LayerAt zeros() const;
};

class Layer {
 public:
  /// `parameters` are all weights, among which the plan's offsets count.
  Layer(const LayerPlan& plan, View parameters, std::size_t context_size);

  const LayerPlan& plan() const { return plan_; }
  const LinearMap& map() const { return plan_.map; }
  /// `context` (C) of a row.
  LayerAt at(double t, View context) const;
  /// Adds to `gradients` (whole flat buffer) and `context_bar` (C), and returns t̄.
  double pullback(double t, View context, const LayerAt& bar, Target gradients,
                  Target context_bar) const;

 private:
  /// The stored W: in each of `groups` runs, weights of input channels and of planes, in the order
  /// of `planes_first`.
  struct StoredWeight {
    std::size_t groups, inputs, planes;
    bool planes_first;
  };
  StoredWeight stored_weight() const;
  /// Copies the two kinds out of a stored W.
  void split_planes(Vector& plane_weight, Vector& weight) const;
  /// Adds gradients of the two kinds to those of the stored W.
  void join_planes(View plane_bar, View weight_bar, Target stored_bar) const;
  /// The planes at time t; without coordinates, those that t multiplies, for t = 1.
  Vector planes(double t, bool coordinates) const;
  /// What W makes of the planes.
  Vector shift_of(const Vector& plane_weight, const Vector& planes) const;
  Vector hyper_hidden(double t) const;

  double gate_logit(double t, View context, std::size_t channel) const;
  /// Pulls y = M c back, with M at `offset` of the weights: M̄ += ȳ cᵀ, c̄ += Mᵀ ȳ.
  void pull_context(std::size_t offset, std::size_t channel, double bar, View context,
                    Target gradients, Target context_bar) const;
  /// Row `channel` of the matrix at `offset`, whose columns are those of the context.
  View context_row(std::size_t offset, std::size_t channel) const {
    return range(offset + channel * context_size_, context_size_);
  }

  /// What an amortised context adds by itself, and its pullback.
  void add_amortised(View context, LayerAt& layer) const;
  void pull_amortised(View context, const LayerAt& bar, Target context_bar) const;

  View range(std::size_t offset, std::size_t size) const { return values_.subspan(offset, size); }
  const LayerOffsets& offsets() const { return plan_.offsets; }
  std::size_t channels() const { return plan_.map.channels_out; }

  LayerPlan plan_;
  LinearMap plane_map_;  // what it does with the planes
  View values_;          // all weights
  std::size_t context_size_;
};

}  // namespace ffjord::reference
