// The layer table: all kinds are y = g(t) ⊙ (W(t) a + b(t)) + s(t). `at` gives the four at one
// time, `pullback` chains their cotangents to the weights and to t. A context c joins b and the
// logit of g (Conditioning), so that a conditional layer is one for each row.
#pragma once

#include <vector>

#include "core/flow_description.h"
#include "core/parameters.h"
#include "reference/linear_map.h"

namespace ffjord::reference {

/// A layer at one time, or the cotangent of one.
struct LayerAt {
  Vector weight;  ///< W, as the linear map lays it out
  Vector bias;    ///< b (channels)
  Vector gate;    ///< g (channels); 1 for ungated kinds
  Vector shift;   ///< s (channels, plane): a map, as padding cuts a convolved t plane at the border
  double beta = 1;  ///< of the swish after the layer

  /// Zeros of the same shapes.
  LayerAt zeros() const;
};

struct ParameterRange {
  std::size_t offset = 0, size = 0;
};

class Layer {
 public:
  /// `map` takes the layer's input without t. Throws Error(Unsupported) for hyper convolutions.
  Layer(LayerKind kind, const LinearMap& map, const LayerOffsets& offsets, View parameters,
        std::size_t context_size);

  const LinearMap& map() const { return map_; }
  /// `context` (C) of a row.
  LayerAt at(double t, View context) const;
  /// Adds to `gradients` (whole flat buffer) and `context_bar` (C), and returns t̄.
  double pullback(double t, View context, const LayerAt& bar, Target gradients,
                  Target context_bar) const;
  /// The tensors that the layer reads, as ranges of the flat buffer.
  std::vector<ParameterRange> parameters() const;

 private:
  /// Where concat's weights of the t channel stand among the layer's: in each of `groups` runs,
  /// `time` of them, then `rest` of the others.
  struct TimeSplit {
    std::size_t groups, time, rest;
  };
  TimeSplit time_split() const;
  void split_time(Vector& time_weight, Vector& weight) const;
  Vector time_plane(const Vector& time_weight) const;
  Vector hyper_hidden(double t) const;

  double gate_logit(double t, View context, std::size_t channel) const;
  /// Of y = M c with M at `offset` of the weights: M̄ += ȳ cᵀ, c̄ += Mᵀ ȳ.
  void pull_context(std::size_t offset, std::size_t channel, double bar, View context,
                    Target gradients, Target context_bar) const;
  /// Row `channel` of the matrix at `offset`, whose columns are those of the context.
  View context_row(std::size_t offset, std::size_t channel) const {
    return range(offset + channel * context_size_, context_size_);
  }

  View range(std::size_t offset, std::size_t size) const { return values_.subspan(offset, size); }
  bool gated() const { return kind_ == LayerKind::Squash || kind_ == LayerKind::ConcatSquash; }
  bool shifted() const { return kind_ == LayerKind::ConcatV2 || kind_ == LayerKind::ConcatSquash; }
  std::size_t channels() const { return map_.channels_out(); }

  LayerKind kind_;
  LinearMap map_, time_map_;
  LayerOffsets offsets_;
  View values_;  // all weights of the flow
  std::size_t context_size_;
};

}  // namespace ffjord::reference
