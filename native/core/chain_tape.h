// What a HostFlow keeps of a solve for its pullback: a tape a block.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/block_tape.h"
#include "core/chain_state.h"
#include "core/engine.h"
#include "core/fixed_run.h"
#include "core/row_values.h"

namespace ffjord {

template <class Real>
class ChainTape : public Tape {
 public:
  explicit ChainTape(RowValues<Real> context) : context(std::move(context)) {}

  std::size_t kept_bytes() const override {
    std::size_t bytes = 0;
    for (const auto& block : blocks)
      if (block) bytes += block->kept_bytes();
    return bytes;
  }

  std::size_t batch = 0;
  BatchShare share;  // of the whole batch
  Direction direction = Direction::Forward;
  int regularisers = 0;
  std::uint64_t generation = 0;  // of the weights that the solve saw
  FixedTape fixed;               // of the flow's first run
  bool of_dataset = false;       // whose rows went through that run once, without a tape
  RowValues<Real> context;       // (B, C)
  std::vector<std::shared_ptr<const BlockTape>> blocks;  // in the order of the chain
  std::optional<ChainState<Real>> end;                   // where it was asked for
};

}  // namespace ffjord
