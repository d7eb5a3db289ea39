// A block without dynamics, as the chain calls it: one dispatch over the transforms.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/batch_norm.h"
#include "core/chain_state.h"
#include "core/chain_tape.h"
#include "core/flow_device.h"
#include "core/parameters.h"
#include "core/transforms.h"
#include "core/whiten.h"

namespace ffjord {

template <class Real>
class TransformBlock {
 public:
  /// All outlive the block; `parameters` and `buffers` are the flow's flat ones.
  TransformBlock(const Block& block, const std::vector<int>& shape, const BlockOffsets& offsets,
                 const FlatBuffer<Real>& parameters, std::span<Real> buffers)
      : block_(block),
        shape_(shape),
        size_(element_count(shape)),
        offsets_(offsets),
        parameters_(parameters),
        buffers_(buffers) {}

  /// Maps the rows in place; the tape is empty unless `keep_tape`.
  StepTape<Real> solve(bool reverse, bool training, bool keep_tape, ChainState<Real>& state) const {
    if (const auto* norm = std::get_if<BatchNorm>(&block_)) {
      BatchNormTape<Real> tape;
      tape.moments = batch_moments(*norm, running(), training && !reverse, state.rows());
      const std::span<const Real> parameters = parameters_.on_host();
      tape.map = affine_of<Real>(tape.moments, slice(parameters, offsets_.log_scale),
                                 slice(parameters, offsets_.bias));
      if (keep_tape && !reverse) tape.x = state.z.read();
      ffjord::apply(tape.map, reverse, state.rows());
      if (keep_tape && reverse) tape.x = state.z.read();
      return tape;
    }
    if (std::holds_alternative<Squeeze>(block_)) {
      squeeze(shape_, reverse, state.batch, state.z.on_host());
      return {};
    }
    if (std::holds_alternative<Split>(block_)) {
      reverse ? state.join() : state.split(size_ / 2);
      return {};
    }
    if (const auto* whiten = std::get_if<Whiten>(&block_)) {
      ffjord::apply(*whiten, reverse, state.rows());
      return {};
    }
    return with_element_map([&](const auto& transform) {
      ElementTape<Real> tape;
      if (keep_tape && !reverse) tape.x = state.z.read();
      reverse ? invert(transform, state.rows()) : ffjord::apply(transform, state.rows());
      if (keep_tape && reverse) tape.x = state.z.read();
      return StepTape<Real>(std::move(tape));
    });
  }

  /// Cotangents in place; adds to the gradients (the flow's flat buffer) unless that is null.
  void pullback(bool reverse, const StepTape<Real>& any_tape, ChainState<Real>& bar,
                FlatBuffer<Real>* gradients) const {
    if (std::holds_alternative<BatchNorm>(block_)) {
      const auto& tape = std::get<BatchNormTape<Real>>(any_tape);
      const std::size_t wanted = gradients ? size_ : 0;
      std::vector<Real> log_scale_bar(wanted), bias_bar(wanted);
      pull_back<Real>(tape.moments, tape.map, reverse, tape.x, bar.rows(), log_scale_bar, bias_bar);
      if (!gradients) return;
      gradients->add(offsets_.log_scale, log_scale_bar);
      gradients->add(offsets_.bias, bias_bar);
    } else if (std::holds_alternative<Squeeze>(block_)) {
      squeeze(shape_, !reverse, bar.batch, bar.z.on_host());
    } else if (std::holds_alternative<Split>(block_)) {
      reverse ? bar.split(size_ / 2) : bar.join();
    } else if (const auto* whiten = std::get_if<Whiten>(&block_)) {
      pull_back(*whiten, reverse, bar.rows());
    } else {
      with_element_map([&](const auto& transform) {
        pull_back<Real>(transform, reverse, std::get<ElementTape<Real>>(any_tape).x, bar.rows());
        return StepTape<Real>();
      });
    }
  }

  /// Moves the running statistics by what a training solve saw.
  void commit_statistics(const BatchMoments& moments) const { commit(moments, running()); }

 private:
  template <class Call>
  StepTape<Real> with_element_map(const Call& call) const {
    if (const auto* logit = std::get_if<Logit>(&block_)) return call(*logit);
    if (const auto* standardize = std::get_if<Standardize>(&block_)) return call(*standardize);
    if (const auto* support = std::get_if<Support>(&block_)) return call(*support);
    return call(std::get<ZeroMean>(block_));
  }

  RunningStatistics<Real> running() const {
    return {slice(buffers_, offsets_.running_mean), slice(buffers_, offsets_.running_var),
            buffers_[offsets_.step]};
  }

  template <class Value>
  std::span<Value> slice(std::span<Value> values, std::size_t offset) const {
    return values.subspan(offset, size_);
  }

  const Block& block_;
  const std::vector<int>& shape_;  // before the block
  const std::size_t size_;
  const BlockOffsets& offsets_;
  const FlatBuffer<Real>& parameters_;
  const std::span<Real> buffers_;
};

}  // namespace ffjord
