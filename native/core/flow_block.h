// A block of a flow as the chain calls it, with dynamics or without: solve, pullback, and commit
// behind the optimizer's step. FlowDevice::make_block makes every kind of block, which works in the
// memory of that device, where the rows lie.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/block_tape.h"
#include "core/chain_state.h"
#include "core/engine.h"
#include "core/trajectory.h"

namespace ffjord {

/// A solve of the whole chain, as each of its blocks sees it.
template <class Real>
struct ChainSolve {
  const SolveRequest& request;
  const RowValues<Real>& context;        ///< (B, C)
  std::span<const Real> sqrt_end_times;  ///< √T, one a CNF block
  Trajectory<Real>& trajectory;          ///< CNF blocks write their part
  SolveResult& result;                   ///< CNF blocks add what they count
  std::vector<std::size_t>& outside;     ///< rows that a block does not map are added

  bool reverse() const { return request.direction == Direction::Reverse; }
  bool trains() const { return request.training && !reverse(); }
};

template <class Real>
struct ChainPullback {
  const RowValues<Real>& context;  ///< (B, C)
  std::span<Real> context_bar;     ///< (B, C) on the host, added to; may be empty
  std::span<Real> gradients;       ///< flat buffer in the device's memory; empty: not wanted
  SolveStatistics& statistics;     ///< CNF blocks add what they count
};

template <class Real>
class FlowBlock {
 public:
  virtual ~FlowBlock() = default;

  /// Must be called after the weights changed and before the next use: what is derived from them
  /// is made again.
  virtual void parameters_changed() {}

  /// Maps the rows in place, data → base or reverse; adds to Δlogp and the regularisers. Without
  /// `keep_tape` the tape is for `commit` alone, and may be null where there is nothing to. Throws
  /// SolveFailure and OutsideSupport.
  virtual std::unique_ptr<BlockTape> solve(const ChainSolve<Real>& call,
                                           ChainState<Real>& state) = 0;

  /// Cotangents of what `solve` left → those of what it took, in place; adds to the gradients.
  virtual void pullback(const BlockTape& tape, const ChainPullback<Real>& call,
                        ChainState<Real>& bar) = 0;

  /// What a training solve saw of its rows, for `commit`, without the rows that its tape keeps;
  /// null where the block counts nothing.
  virtual std::shared_ptr<const BlockTape> seen(const BlockTape&) const { return nullptr; }
  /// Moves the running statistics, a flat buffer in the device's memory, by what a training solve
  /// saw: behind the optimizer's step.
  virtual void commit(const BlockTape&, std::span<Real> /*statistics*/) {}
};

/// What a block is made of: its place in a flow, and flat buffers in the memory of its device. All
/// outlive the block.
template <class Real>
struct BlockPlace {
  const Block& block;
  std::size_t index = 0;          ///< in the flow's blocks
  std::uint32_t number = 0;       ///< among its CNF blocks, of one
  const std::vector<int>& shape;  ///< of a sample before the block
  const BlockOffsets& offsets;
  std::span<const Real> parameters, statistics;
  Conditioning context = {};

  std::size_t size() const { return element_count(shape); }
};

}  // namespace ffjord
