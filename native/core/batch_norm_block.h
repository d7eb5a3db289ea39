// Moving batch norm in the memory of the host.
#pragma once

#include <memory>
#include <vector>

#include "core/batch_norm.h"
#include "core/flow_block.h"

namespace ffjord {

template <class Real>
class BatchNormBlock : public FlowBlock<Real> {
 public:
  explicit BatchNormBlock(const BlockPlace<Real>& place) : place_(place) {}

  std::unique_ptr<BlockTape> solve(const ChainSolve<Real>& call, ChainState<Real>& state) override {
    const TransformRows<Real> rows = state.rows();
    const BlockOffsets& at = place_.offsets;
    const bool reverse = call.reverse(), keeps = call.request.keep_tape;
    auto tape = std::make_unique<Tape>();
    tape->reverse = reverse;
    tape->share = call.request.share;
    auto seen = std::make_shared<Seen>();
    seen->moments = batch_moments(std::get<BatchNorm>(place_.block), running(place_.statistics),
                                  call.trains(), call.request.share, rows);
    tape->seen = seen;
    tape->map = affine_of<Real>(seen->moments, slice(place_.parameters, at.log_scale),
                                slice(place_.parameters, at.bias));
    const auto keep = [&] { tape->x.assign(rows.values.begin(), rows.values.end()); };
    if (keeps && !reverse) keep();
    ffjord::apply(tape->map, reverse, rows);
    if (keeps && reverse) keep();
    return tape;
  }

  void pullback(const BlockTape& any_tape, const ChainPullback<Real>& call,
                ChainState<Real>& bar) override {
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    const std::span<Real> gradients = call.gradients;
    const bool wanted = !gradients.empty();
    pull_back<Real>(tape.seen->moments, tape.map, tape.reverse, tape.x, tape.share, bar.rows(),
                    wanted ? slice(gradients, place_.offsets.log_scale) : std::span<Real>(),
                    wanted ? slice(gradients, place_.offsets.bias) : std::span<Real>());
  }

  std::shared_ptr<const BlockTape> seen(const BlockTape& tape) const override {
    return dynamic_cast<const Tape&>(tape).seen;
  }
  void commit(const BlockTape& seen, std::span<Real> statistics) override {
    ffjord::commit(dynamic_cast<const Seen&>(seen).moments, running(statistics));
  }

 private:
  struct Seen : BlockTape {
    BatchMoments moments;
  };

  struct Tape : BlockTape {
    BatchShare share;  // of the whole batch
    std::shared_ptr<const Seen> seen;
    Affine map;
    std::vector<Real> x;  // the data side (B, D)
  };

  template <class Value>
  RunningStatistics<Value> running(std::span<Value> statistics) const {
    const BlockOffsets& at = place_.offsets;
    return {slice(statistics, at.running_mean), slice(statistics, at.running_var),
            statistics[at.step]};
  }

  template <class Value>
  std::span<Value> slice(std::span<Value> values, std::size_t offset) const {
    return values.subspan(offset, place_.size());
  }

  const BlockPlace<Real> place_;
};

}  // namespace ffjord
