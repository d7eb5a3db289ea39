// A dense net on the device: its weights, and f with its divergence at the rows of a batch.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cuda/device/memory.h"
#include "cuda/net/context_map.h"
#include "cuda/net/evaluation.h"
#include "cuda/net/field.h"
#include "cuda/net/layer_backward.h"
#include "cuda/net/layer_forward.h"
#include "cuda/net/multiply.h"
#include "cuda/net/weight_gradient.h"
#include "cuda/step/step_rows.h"

namespace ffjord::cuda {

/// Where a net is evaluated: rows of groups, each at its own t + c h.
struct FieldPoint {
  Groups groups;
  double c = 0;
  int batch = 0;
  StagePoint z;                  ///< stands after an evaluation
  const float* eps = nullptr;    ///< (K, B, D) or (K, B, width); null for exact traces
  float direction = 1;           ///< of the regularisers' rates
  const float* terms = nullptr;  ///< (B, P): what a context adds to each row's net (context_map.h)
  TapeSlot slot;
};

/// Layers first … end − 1 of a net, through which rows are pushed at once.
struct LayerPass {
  std::size_t first = 0, end = 0;
  int tangents = 0;                               ///< K
  const std::vector<LayerTape>* tapes = nullptr;  ///< by the number of the layer
  LayerInput input;                               ///< of the first
};

/// What a pullback leaves.
struct FieldTargets {
  float* z_bar = nullptr;  ///< (B, z_bar_stride), overwritten
  int z_bar_stride = 0;
  float sign = 1;             ///< of z̄
  float* gradient = nullptr;  ///< of the block's parameters, added to; null: not wanted
  bool times = false;         ///< fills scratch.time_bars
  TermsBar terms;             ///< of a context
};

class DenseNet {
 public:
  /// Throws Error(Unsupported) for convolutional nets.
  DenseNet(const BlockContext<float>& context, const Stream& stream);

  int dimension() const { return dimension_; }
  std::size_t parameter_count() const { return parameter_count_; }
  /// Of the block's tensors in their order, the end time first.
  const std::vector<std::size_t>& tensor_sizes() const { return tensor_sizes_; }
  const std::vector<Layer>& layers() const { return layers_; }
  const ContextMap& context() const { return context_; }

  bool residual() const { return residual_; }
  bool conditional() const { return context_.terms() > 0; }
  NetArrays arrays() const;

  /// Packs the weights anew; the block's parameters are read where the flow keeps them.
  void parameters_changed();

  /// `own_times`: every row is a group.
  EvaluationForm form_of(const TracePlan& trace, const Regularisers& regularisers,
                         bool with_divergence, bool own_times) const;
  /// Without a tape.
  Evaluation make_evaluation(const EvaluationSize& size) const;
  std::size_t tape_floats(const EvaluationSize& size) const;
  /// Its tape is at `tape` from now on.
  void place_tape(const EvaluationSize& size, float* tape, Evaluation& evaluation) const;
  PullbackScratch make_scratch(const EvaluationSize& size) const;

  /// f, divergence and integrands, at a point that is combined where it does not stand; `scratch`
  /// serves a divergence by VJP.
  void evaluate(Evaluation& evaluation, PullbackScratch* scratch, const EvaluationForm& form,
                const FieldPoint& point, const FieldColumns<float>& rates, TapeUse use) const;

  void pullback(const Evaluation& evaluation, PullbackScratch& scratch, const FieldPoint& point,
                const FieldColumns<const float>& bars, const FieldTargets& targets) const;

 private:
  bool gated_output() const { return layers_.back().gated(); }
  bool hyper() const { return layers_.front().hyper(); }
  const float* beta_of(const Layer& layer) const;
  LayerPass whole_pass(const Evaluation& evaluation, const FieldPoint& point) const;
  LayerInput input_of(const LayerPass& pass, std::size_t l) const;
  const float* weights_of(const Evaluation& evaluation, const Layer& layer, bool transposed) const;
  std::size_t weight_stride() const { return hyper() ? packed_size_ : 0; }
  const ClosedArrays& closed_of(const Evaluation& evaluation) const {
    return gated_output() ? evaluation.closed : closed_;
  }
  int gate_stride(const Evaluation& evaluation, const FieldPoint& point) const;
  FieldArguments field_of(const Evaluation& evaluation, const FieldPoint& point) const;
  void push(const Evaluation& evaluation, const LayerPass& pass, const FieldPoint& point,
            TapeUse use) const;
  void pull_vjp(const Evaluation& evaluation, PullbackScratch& scratch, const FieldPoint& point,
                const FieldColumns<float>& rates) const;

  // dense_net_pullback.cu
  /// What a pullback carries from layer to layer.
  struct Reverse {
    const Evaluation& evaluation;
    PullbackScratch& scratch;
    const FieldPoint& point;
    const FieldTargets& targets;
    float* time_bars;  ///< where the next part of t̄ goes; null: not wanted
    int current = 0;   ///< of the scratch's two places, that of the cotangents

    float* value_bar() const { return scratch.value_bars[current]; }
    float* tangent_bar() const { return scratch.tangent_bars[current]; }
    void turn() { current = 1 - current; }
    void passed_times(int parts) {
      if (time_bars) time_bars += std::size_t(parts) * point.batch;
    }
  };
  void seed(const Reverse& reverse, const FieldColumns<const float>& bars, bool adds) const;
  /// Cotangents of what the pass left → of what its first layer made, and gradients.
  void pull_layers(Reverse& reverse, const LayerPass& pass) const;
  void pull_weights(Reverse& reverse, const LayerPass& pass, std::size_t l) const;
  /// From there to the pass's input: of the values, unless changed, to a place that is yet to name.
  MultiplyArguments input_product(const Reverse& reverse, const LayerPass& pass) const;
  void pull_rows(const Reverse& reverse, const LayerPass& pass, bool adds) const;

  // dense_net_closed.cu
  void place_tape(const EvaluationSize& size, Arena& arena, Evaluation& evaluation) const;
  void close_trace(Evaluation& evaluation, const FieldPoint& point, TapeUse use,
                   FieldArguments& field) const;
  void pull_closed_trace(Reverse& reverse, const FieldColumns<const float>& bars) const;

  // dense_net_bottleneck.cu
  struct BottleneckPasses {
    LayerPass encoder, decoder, again;
  };
  BottleneckPasses bottleneck_passes(const Evaluation& evaluation, const FieldPoint& point) const;
  void evaluate_bottleneck(const Evaluation& evaluation, const FieldPoint& point,
                           const FieldColumns<float>& rates, TapeUse use) const;
  void pull_bottleneck(Reverse& reverse, const FieldColumns<const float>& bars) const;

  const Stream& stream_;
  const int dimension_;
  const bool residual_;
  const std::vector<Layer> layers_;
  int units_ = 0, widest_ = 0;
  const std::vector<std::size_t> tensor_sizes_;
  std::size_t parameter_count_ = 0, packed_size_ = 0;
  const float* const parameters_;  // of the block
  DeviceArray<Layer> device_layers_;
  DeviceArray<float> packed_;
  ContextMap context_;
  Arena closed_memory_;
  ClosedArrays closed_;     // where the output is not gated
  DeviceArray<float> one_;  // a one
};

}  // namespace ffjord::cuda
