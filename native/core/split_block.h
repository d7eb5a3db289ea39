// A split, in the memory of any device: half of a row's numbers wait aside for the base.
#pragma once

#include <memory>

#include "core/flow_block.h"

namespace ffjord {

template <class Real>
class SplitBlock : public FlowBlock<Real> {
 public:
  explicit SplitBlock(const BlockPlace<Real>& place) : kept_(place.size() / 2) {}

  std::unique_ptr<BlockTape> solve(const ChainSolve<Real>& call, ChainState<Real>& state) override {
    move(!call.reverse(), state);
    auto tape = std::make_unique<BlockTape>();
    tape->reverse = call.reverse();
    return tape;
  }

  void pullback(const BlockTape& tape, const ChainPullback<Real>&, ChainState<Real>& bar) override {
    move(tape.reverse, bar);
  }

 private:
  void move(bool aside, ChainState<Real>& state) const {
    aside ? state.split(kept_) : state.join();
  }

  const std::size_t kept_;
};

}  // namespace ffjord
