// A block without dynamics, as the chain calls it: one dispatch over the transforms.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/batch_norm.h"
#include "core/chain_state.h"
#include "core/chain_tape.h"
#include "core/fixed_transform.h"
#include "core/flow_device.h"
#include "core/parameters.h"

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
  StepTape<Real> solve(bool reverse, bool training, bool keep_tape, const BatchShare& share,
                       ChainState<Real>& state) const {
    if (const auto* norm = std::get_if<BatchNorm>(&block_)) {
      BatchNormTape<Real> tape;
      tape.moments = batch_moments(*norm, running(), training && !reverse, share, state.rows());
      const std::span<const Real> parameters = parameters_.on_host();
      tape.map = affine_of<Real>(tape.moments, slice(parameters, offsets_.log_scale),
                                 slice(parameters, offsets_.bias));
      if (keep_tape && !reverse) tape.x = state.z.read();
      ffjord::apply(tape.map, reverse, state.rows());
      if (keep_tape && reverse) tape.x = state.z.read();
      return tape;
    }
    if (std::holds_alternative<Split>(block_)) {
      reverse ? state.join() : state.split(size_ / 2);
      return {};
    }
    ElementTape<Real> tape;
    const bool keeps = keep_tape && is_element_map(block_);
    if (keeps && !reverse) tape.x = state.z.read();
    map_fixed(block_, shape_, reverse, state.rows());
    if (keeps && reverse) tape.x = state.z.read();
    return tape;
  }

  /// Cotangents in place; adds to the gradients (the flow's flat buffer) unless that is null.
  void pullback(bool reverse, const StepTape<Real>& any_tape, const BatchShare& share,
                ChainState<Real>& bar, FlatBuffer<Real>* gradients) const {
    if (std::holds_alternative<BatchNorm>(block_)) {
      const auto& tape = std::get<BatchNormTape<Real>>(any_tape);
      const std::size_t wanted = gradients ? size_ : 0;
      std::vector<Real> log_scale_bar(wanted), bias_bar(wanted);
      pull_back<Real>(tape.moments, tape.map, reverse, tape.x, share, bar.rows(), log_scale_bar,
                      bias_bar);
      if (!gradients) return;
      gradients->add(offsets_.log_scale, log_scale_bar);
      gradients->add(offsets_.bias, bias_bar);
    } else if (std::holds_alternative<Split>(block_)) {
      reverse ? bar.split(size_ / 2) : bar.join();
    } else {
      pull_back_fixed<Real>(block_, shape_, reverse, std::get<ElementTape<Real>>(any_tape).x,
                            bar.rows());
    }
  }

  /// Moves the running statistics by what a training solve saw.
  void commit_statistics(const BatchMoments& moments) const { commit(moments, running()); }

 private:
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
