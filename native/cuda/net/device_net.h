// A net on the device: its layers and weights, f with its divergence at the rows of a batch, and
// the pullback of both.
#pragma once

#include <vector>

#include "core/block_plan.h"
#include "core/lattice_probes.h"
#include "cuda/device/memory.h"
#include "cuda/net/context_map.h"
#include "cuda/net/evaluation.h"
#include "cuda/net/field.h"
#include "cuda/net/field_point.h"
#include "cuda/net/net_time.h"
#include "cuda/net/planes.h"
#include "cuda/net/taps.h"
#include "cuda/product/octets.h"

namespace ffjord::cuda {

struct OuterArguments;

class DeviceNet {
 public:
  DeviceNet(const BlockContext<float>& context, const Stream& stream);

  int dimension() const { return dimension_; }
  /// Sizes of the block's tensors in their order, the end time first.
  const std::vector<std::size_t>& tensor_sizes() const { return tensor_sizes_; }
  const std::vector<Layer>& layers() const { return layers_; }
  const ContextMap& context() const { return context_; }
  const Stream& stream() const { return stream_; }

  /// Chains of layers whose outputs add up; of a dense net one.
  const std::vector<Branch>& branches() const { return branches_; }
  bool convolutional() const { return convolutional_; }
  /// The probes of an exact divergence, branch by branch, of which so many are pushed at once.
  const std::vector<ProbeLattice>& lattices() const { return lattices_; }
  static constexpr int kMostLatticeProbes = 32;
  /// Where the entries of a convolutional net's branch lie in a sample (images.h).
  const int* places_of(std::size_t branch) const { return places_.data() + branch * dimension_; }
  /// The walk of a layer's product and of its transpose; none where rows meet themselves.
  Taps taps_of(const Layer& layer) const {
    return meets_itself(layer.map) ? Taps() : walk_of(layer);
  }
  Taps taps_back(const Layer& layer) const {
    return meets_itself(layer.map) ? Taps() : back_walks_[layer.number];
  }
  Taps walk_of(const Layer& layer) const { return walks_[layer.number]; }
  Planes planes_of(const Layer& layer) const { return cuda::planes_of(layer, planes_.data()); }

  bool residual() const { return residual_; }
  bool conditional() const { return context_.terms() > 0; }
  bool hyper() const { return layers_.front().hyper(); }
  bool gated_output() const { return layers_.back().gated(); }
  NetArrays arrays() const;
  /// β of a layer's swish; null where it has none.
  const float* beta_of(const Layer& layer) const;
  /// W of a layer, or Wᵀ (weights.h), at the time of an evaluation.
  const float* weights_of(const Evaluation& evaluation, const Layer& layer, bool transposed) const;
  /// W of a layer that takes octets.
  const OctetLines& octets_of(const Layer& layer) const { return octet_weights_[layer.number]; }
  /// Wᵀ of one whose cotangents do.
  const OctetLines& octets_back(const Layer& layer) const { return back_weights_[layer.number]; }
  /// The shape of a layer's P (weight_gradient.h).
  OuterArguments outer_products(const Layer& layer, int batch, int tangents) const;
  /// How far the weights of two groups lie apart; 0: all have the same.
  std::size_t weight_stride() const { return hyper() ? packed_size_ : 0; }
  /// The closed trace of weights that no gate of the output changes with t.
  const ClosedArrays& closed() const { return closed_; }

  /// Packs the weights anew; the block's parameters are read where the flow keeps them.
  void parameters_changed();

  /// What evaluations push through the net; `own_times`: every row is a group.
  EvaluationForm form_of(const TracePlan& trace, const Regularisers& regularisers,
                         bool with_divergence, bool own_times) const;
  /// An evaluation that has no tape yet; `octets` outlives it.
  Evaluation make_evaluation(const EvaluationSize& size, const OctetScratch& octets) const;
  OctetScratch make_octets(const EvaluationSize& size) const;
  std::size_t tape_floats(const EvaluationSize& size) const;
  /// Its tape is at `tape` from now on.
  void place_tape(const EvaluationSize& size, float* tape, Evaluation& evaluation) const;
  PullbackScratch make_scratch(const EvaluationSize& size) const;

  /// f, divergence and integrands, at a point whose values are combined first where they are yet to
  /// be; `scratch` serves a divergence by VJP.
  void evaluate(Evaluation& evaluation, PullbackScratch* scratch, const EvaluationForm& form,
                const FieldPoint& point, const FieldColumns<float>& rates, TapeUse use) const;

  void pullback(const Evaluation& evaluation, PullbackScratch& scratch, const FieldPoint& point,
                const FieldColumns<const float>& bars, const FieldTargets& targets) const;

 private:
  void place_tape(const EvaluationSize& size, Arena& arena, Evaluation& evaluation) const;
  void make_octet_weights();
  /// Fills the walks, and returns the places that they are yet to be given.
  std::vector<PixelPlace> make_walks();
  /// Whether a branch begins with a layer.
  bool is_first(const Layer& layer) const;
  /// How often a pullback by lattices passes a layer.
  int lattice_passes(std::size_t layer) const;

  const Stream& stream_;
  const NetPlan plan_;  // its offsets count from the block's first parameter
  const int dimension_;
  const bool residual_, convolutional_;
  const std::vector<Branch> branches_;
  const std::vector<ProbeLattice> lattices_;
  const std::vector<Layer> layers_;
  int units_ = 0;
  std::size_t widest_ = 0;
  const std::vector<std::size_t> tensor_sizes_;
  std::size_t packed_size_ = 0;
  const float* const parameters_;  // of the block
  DeviceArray<Layer> device_layers_;
  DeviceArray<float> packed_;
  std::vector<OctetLines> octet_weights_, back_weights_;  ///< by the number of the layer
  DeviceArray<uint4> weight_slabs_;
  DeviceArray<float> weight_scales_;
  DeviceArray<float> planes_;
  DeviceArray<int> places_;
  DeviceArray<PixelPlace> pixel_places_;  ///< of the walks
  std::vector<Taps> walks_, back_walks_;  ///< of convolutions, by the number of the layer
  ContextMap context_;
  Arena closed_memory_;
  ClosedArrays closed_;
};

}  // namespace ffjord::cuda
