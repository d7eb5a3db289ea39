// TileNet as one instruction set compiles it. Its functions are defined in the files named below:
// evaluate.h, pullback.h and net_setup.h have those of TileNet, and include the others.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cpu/tile_memory.h"
#include "cpu/time_slot.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

inline constexpr int kMostRows = 64;  // of a tile

class DenseTileNet final : public TileNet {
 public:
  explicit DenseTileNet(const BlockContext<float>& context);

  std::size_t rows() const override { return std::size_t(strips_) * kLanes; }
  void parameters_changed() override;

  std::unique_ptr<TimeSlot> make_time_slot(const TracePlan& trace) const override;
  std::unique_ptr<Activations> make_activations(const TracePlan& trace,
                                                const Regularisers& regularisers) const override;
  std::unique_ptr<GradientSlot> make_gradient_slot(const TracePlan& trace) const override;
  std::unique_ptr<Activations> make_kept_activations(
      const TracePlan& trace, const Regularisers& regularisers) const override;
  void exchange_scratch(Activations& one, Activations& other) const override {
    FFJORD_INSTRUCTION_SET::exchange_scratch(static_cast<TileActivations&>(one),
                                             static_cast<TileActivations&>(other));
  }
  std::size_t kept_bytes(const Activations& activations) const override {
    return sizeof(float) * static_cast<const TileActivations&>(activations).kept_floats();
  }

  void set_time(TimeSlot& slot, double t) const override;
  void set_times(TimeSlot& slot, const float* t) const override;

  std::size_t terms() const override { return context_.terms; }
  std::span<const std::uint32_t> term_places() const override { return context_.places; }
  void enter_context(const float* context, float* terms) const override {
    context_.enter(context, static_cast<int>(rows()), terms);
  }
  void pull_back_context(const float* context, const float* terms, GradientSlot* gradients,
                         float* context_bar) const override {
    float* const sums = gradients ? static_cast<NetGradient*>(gradients)->context.data() : nullptr;
    context_.pull_back(context, static_cast<int>(rows()), terms, sums, context_bar);
  }

  void evaluate(const TimeSlot& time, const TileArrays& arrays, Activations& activations,
                bool keep) const override;
  double pullback(const TimeSlot& time, const TileCotangents& cotangents, Activations& activations,
                  GradientSlot* gradients, double* times_bar) const override;
  void pull_back_products(std::span<Activations* const> activations, float* terms) const override;
  void finish(GradientSlot& slot) const override;
  void move_sums(GradientSlot& from, GradientSlot& to) const override;
  void add(std::span<const float> from, float* to) const override { add_numbers(from, to); }
  void add_sums(GradientSlot& slot, float scale, std::span<float> gradients) const override;

 private:
  // What one pullback carries from layer to layer.
  struct Reverse {
    const NetTime& time;
    const TileCotangents& arrays;
    TileActivations& memory;
    NetGradient* gradient;
    double t_bar = 0;
    double* times_bar;
  };

  int layer_count() const { return static_cast<int>(layers_.size()); }
  /// Features of the array after l layers.
  int features_at(int l) const { return l < layer_count() ? layers_[l].depth() : dimension_; }
  bool closed_applies(const TracePlan& trace, bool own_times) const;
  const ClosedTrace& closed_trace(const NetTime& time) const;
  const float* output_gate(const NetTime& time) const;
  const PackedMatrix& backward_matrix(const NetTime& time, int l) const {
    return layers_[l].hyper() ? time.layers[l].backward : layers_[l].backward;
  }
  std::unique_ptr<TileActivations> make_tile_activations(const TracePlan& trace,
                                                         const Regularisers& regularisers) const;
  TileScratch make_scratch(const TracePlan& trace) const;

  // row_terms.h
  bool own_gates(const NetTime& time, int l) const { return time.own || context_.moves_gates(l); }
  RowVectors gate_vectors(const NetTime& time, const TileActivations& memory, int l) const;
  RowVectors offset_vectors(const NetTime& time, const TileActivations& memory, int l) const;
  void set_row_terms(const NetTime& time, int l, const float* terms, TileActivations& memory) const;
  void pull_back_bias_terms(Reverse& reverse, int l, const Panels& cotangents) const;

  // low_rank.h
  LowRankTerms left_terms(const float* terms, int l) const;
  LowRankTerms right_terms(const float* terms, int l) const;
  void contract_low_rank(int l, const float* terms, const Panels& in,
                         TileActivations& memory) const;
  void pull_back_low_rank(Reverse& reverse, int l, const Panels& cotangents) const;

  // forward_pass.h
  void load_input(const TileArrays& arrays, TileActivations& memory) const;
  void expand_input(const NetTime& time, const Panels& input, int depth,
                    const Columns& columns) const;
  /// Layers first … end − 1.
  void run_layers(const NetTime& time, const float* terms, TileActivations& memory, bool keep,
                  int first, int end) const;
  void write_output(const NetTime& time, const TileArrays& arrays, TileActivations& memory,
                    const Panels& output) const;
  Panels panels(AlignedFloats& memory, const Columns& columns, int features) const;
  FieldPass pass_of(const TileActivations& memory) const;

  // vector_jacobian.h
  void evaluate_vjp(const NetTime& time, const TileArrays& arrays, TileActivations& memory) const;

  // backward_pass.h
  void load_seeds(Reverse& reverse, const Panels& seeds) const;
  void pull_back_activation(Reverse& reverse, int l, const Panels& cotangents,
                            const Panels& above) const;

  /// Cotangents of what layer end − 1 left → of what went into layer `first`: of the values, with
  /// `tangents` of all columns. `seeds` lie in the first of the memory's two arrays.
  Panels pull_layers(Reverse& reverse, int first, int end, const Panels& seeds,
                     bool tangents) const;

  // evaluate.h
  Evaluation plan(const TileActivations& memory, const NetTime& time,
                  const TileArrays& arrays) const;

  // bottleneck.h
  void evaluate_bottleneck(const NetTime& time, const TileArrays& arrays, TileActivations& memory,
                           bool keep) const;
  double pull_bottleneck(Reverse& reverse) const;

  // closed_pullback.h
  void prepare_closed(Reverse& reverse) const;
  void finish_closed(Reverse& reverse) const;

  // parameter_pullback.h
  void finish_layer(Reverse& reverse, int l, const Panels& cotangents) const;
  void pull_back_own_gates(Reverse& reverse, int l, const Panels& cotangents) const;
  void pull_back_gates(Reverse& reverse, int l) const;
  void pull_back_hypernet(Reverse& reverse, int l, const Panels& cotangents) const;
  void contract_input(Reverse& reverse, int l, const Panels& cotangents) const;

  const int dimension_;
  const bool residual_;
  std::vector<Layer> layers_;
  ContextMap context_;
  int strips_;
  ClosedTrace closed_;  // where the output is not gated
  AlignedFloats ones_;  // [widest layer][kLanes]
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
