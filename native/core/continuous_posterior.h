// A posterior of CNF blocks over [0, T], as the published programs have it: the same field for all
// images, or one that the numbers of an image change, biases and low-rank terms of all layers. They
// are the blocks' contexts, constant along a trajectory, so that a pullback has their cotangents
// behind the solve, where the linear maps are pulled back once.
//
// The copies of an image share W + (U V)ᵀ and b + β: one ordinary net, whose trace has a closed
// form.
#pragma once

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/amortised_numbers.h"
#include "core/flow_device.h"
#include "core/trajectory.h"

namespace ffjord {

template <class Real>
class ContinuousPosterior : public Posterior<Real> {
 public:
  /// `device` outlives it.
  ContinuousPosterior(const PosteriorPlace<Real>& place, FlowDevice<Real>& device)
      : plan_(place.plan),
        kind_(std::get<Continuous>(place.plan.kind)),
        parameters_(place.parameters),
        device_(device),
        block_(kind_.block),
        shape_{static_cast<int>(plan_.latent)},
        sqrt_end_times_(kind_.blocks, static_cast<Real>(std::sqrt(kind_.block.time))) {
    const Conditioning context = kind_.conditioning(plan_.latent);
    for (std::size_t i = 0; i < plan_.blocks.size(); ++i) {
      blocks_.push_back(device.make_block(place_of(i, plan_.blocks[i], parameters_, context)));
      if (amortised())
        numbers_.emplace_back(std::span(plan_.maps).subspan(i, 1), parameters_, device);
    }
  }

  void parameters_changed() override {
    for (const auto& block : blocks_) block->parameters_changed();
    for (auto& numbers : numbers_) numbers.parameters_changed();
  }

  std::unique_ptr<PosteriorTape> solve(const PosteriorRows<Real>& rows, const PosteriorCall& call,
                                       SolveStatistics& statistics) override {
    auto tape = std::make_unique<Tape>();
    tape->amortised.resize(numbers_.size());
    for (std::size_t i = 0; i < numbers_.size(); ++i)
      tape->contexts.emplace_back(device_, numbers_[i].apply(rows.batch / rows.copies, rows.h,
                                                             call.keep_tape, tape->amortised[i]));
    if (amortised() && rows.copies > 1) {
      solve_copies(rows, call, *tape, statistics);
      return nullptr;
    }
    ChainState<Real> state = start(rows.batch, rows.z0);
    Chain chain(*this, call, rows.batch);
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      tape->blocks.push_back(blocks_[i]->solve(chain.call(context_of(*tape, i)), state));
    chain.finish(statistics);
    hand_over(state, rows, 0);
    return call.keep_tape ? std::move(tape) : nullptr;
  }

  void pullback(const PosteriorTape& any_tape, const PosteriorRows<Real>& rows,
                const PosteriorBars<Real>& bars, SolveStatistics& statistics) override {
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    ChainState<Real> bar = start(rows.batch, bars.zk_bar);
    bar.delta_logp = negated(bars.log_det_bar);
    for (std::size_t i = blocks_.size(); i-- > 0;) {
      const RowValues<Real>& context = context_of(tape, i);
      std::vector<Real> context_bar(context.size());
      blocks_[i]->pullback(*tape.blocks[i], {context, context_bar, bars.gradients, statistics},
                           bar);
      if (amortised())
        numbers_[i].pullback(tape.amortised[i], rows.batch, rows.h, context_bar, bars.h_bar,
                             bars.gradients);
    }
    copy(rows.batch, bar.z.read_on_device(), bars.z0_bar);
  }

 private:
  struct Tape : PosteriorTape {
    std::vector<typename AmortisedNumbers<Real>::Tape> amortised;
    std::vector<RowValues<Real>> contexts;  // (images, C) of each block; empty: they take none
    std::vector<std::unique_ptr<BlockTape>> blocks;
  };

  // What the blocks of a solve are told.
  class Chain {
   public:
    Chain(const ContinuousPosterior& posterior, const PosteriorCall& call, std::size_t batch)
        : posterior_(posterior),
          request_(request_of(call, batch)),
          trajectory_({}, request_, {}, 0) {}

    ChainSolve<Real> call(const RowValues<Real>& context) {
      return {request_, context, posterior_.sqrt_end_times_, trajectory_, result_, outside_};
    }
    void finish(SolveStatistics& statistics) const { statistics.add(result_.statistics); }

   private:
    static SolveRequest request_of(const PosteriorCall& call, std::size_t batch) {
      SolveRequest request;
      request.batch = batch;
      request.noise = call.noise;
      request.settings = call.settings;
      request.settings.regularisers = {};
      request.keep_tape = call.keep_tape;
      request.stop = call.stop;
      return request;
    }

    const ContinuousPosterior& posterior_;
    const SolveRequest request_;
    Trajectory<Real> trajectory_;
    SolveResult result_;
    std::vector<std::size_t> outside_;
  };

  bool amortised() const { return kind_.amortisation != Amortisation::None; }

  BlockPlace<Real> place_of(std::size_t i, const BlockOffsets& offsets,
                            std::span<const Real> parameters, const Conditioning& context) const {
    return {block_, i, static_cast<std::uint32_t>(i), shape_, offsets, parameters, {}, context};
  }
  const RowValues<Real>& context_of(const Tape& tape, std::size_t i) const {
    return amortised() ? tape.contexts[i] : no_context_;
  }

  void copy(std::size_t batch, std::span<const Real> from, std::span<Real> to) {
    device_.copy_columns(batch, plan_.latent, {from, plan_.latent, 0}, {to, plan_.latent, 0});
  }
  RowValues<Real> zeros(std::size_t count) { return RowValues<Real>::zeros(device_, count); }
  ChainState<Real> start(std::size_t batch, std::span<const Real> z) {
    ChainState<Real> state{batch, zeros(batch * plan_.latent), zeros(batch), zeros(0), {}};
    copy(batch, z, state.z.on_device());
    return state;
  }
  RowValues<Real> negated(std::span<const Real> values) {
    std::vector<Real> negative(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) negative[i] = -values[i];
    return {device_, std::move(negative)};
  }
  /// Writes what a solve of rows from `first` on left.
  void hand_over(ChainState<Real>& state, const PosteriorRows<Real>& rows, std::size_t first) {
    copy(state.batch, state.z.read_on_device(),
         rows.zk.subspan(first * plan_.latent, state.batch * plan_.latent));
    const std::vector<Real>& delta_logp = state.delta_logp.read();
    for (std::size_t b = 0; b < state.batch; ++b) rows.log_det[first + b] -= delta_logp[b];
  }

  /// Image by image, by nets of its own weights.
  void solve_copies(const PosteriorRows<Real>& rows, const PosteriorCall& call, const Tape& tape,
                    SolveStatistics& statistics) {
    ParameterLayout layout;
    BlockOffsets offsets;
    offsets.net = layout.add_net("net", plan_net(kind_.block.net, shape_, {}));
    const std::unique_ptr<FlatBuffer<Real>> weights = device_.make_buffer(layout.parameter_count);
    const std::unique_ptr<FlowBlock<Real>> block =
        device_.make_block(place_of(0, offsets, weights->values(), {}));
    for (std::size_t first = 0; first < rows.batch; first += rows.copies) {
      ChainState<Real> state =
          start(rows.copies, rows.z0.subspan(first * plan_.latent, rows.copies * plan_.latent));
      Chain chain(*this, call, rows.copies);
      for (std::size_t i = 0; i < blocks_.size(); ++i) {
        weights->assign(weights_of(i, offsets.net, layout.parameter_count, tape.contexts[i].read(),
                                   first / rows.copies));
        block->parameters_changed();
        block->solve(chain.call(no_context_), state);
      }
      chain.finish(statistics);
      hand_over(state, rows, first);
    }
  }

  /// The weights of block i for one image, as `plain`, the same net alone, has them.
  std::vector<Real> weights_of(std::size_t i, const NetPlan& plain, std::size_t count,
                               const std::vector<Real>& contexts, std::size_t image) const {
    const NetPlan& net = plan_.blocks[i].net;
    const Real* context = contexts.data() + image * net.context_size;
    std::vector<Real> weights(count);
    for (std::size_t tensor = 0; tensor < plain.tensors.size(); ++tensor)
      std::copy_n(parameters_.begin() + net.tensors[tensor].offset, net.tensors[tensor].size,
                  weights.begin() + plain.tensors[tensor].offset);
    for (std::size_t l = 0; l < net.layers.size(); ++l)
      add_terms(net.layers[l].amortised, plain.layers[l], context, weights.data());
    return weights;
  }

  /// W + (U V)ᵀ and b + β of one layer; the column of t stays as it is.
  static void add_terms(const AmortisedTerms& terms, const LayerPlan& layer, const Real* context,
                        Real* weights) {
    const std::size_t in = layer.in(), out = layer.out(), rank = terms.rank;
    for (std::size_t o = 0; o < out; ++o) {
      weights[layer.offsets.bias + o] += context[terms.bias + o];
      Real* row = weights + layer.weight_offset() + o * layer.weight_stride();
      for (std::size_t i = 0; i < in; ++i)
        for (std::size_t k = 0; k < rank; ++k)
          row[i] += context[terms.left + i * rank + k] * context[terms.right + k * out + o];
    }
  }

  const PosteriorPlan& plan_;
  const Continuous& kind_;
  const std::span<const Real> parameters_;
  FlowDevice<Real>& device_;
  const Block block_;
  const std::vector<int> shape_;
  const std::vector<Real> sqrt_end_times_;
  const RowValues<Real> no_context_{device_, {}};
  std::vector<std::unique_ptr<FlowBlock<Real>>> blocks_;
  std::vector<AmortisedNumbers<Real>> numbers_;  // of each block; empty: they take none
};

}  // namespace ffjord
