// What a HostFlow keeps of a solve for its pullback: one entry a block, in the order of the solve.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "core/batch_norm.h"
#include "core/chain_state.h"
#include "core/continuous_block.h"
#include "core/engine.h"
#include "core/fixed_run.h"
#include "core/row_values.h"

namespace ffjord {

/// Of a fixed transform behind the flow's first run: the data side of its map (B, D), where it maps
/// elements.
template <class Real>
struct ElementTape {
  std::vector<Real> x;
};

template <class Real>
struct BatchNormTape {
  BatchMoments moments;
  Affine map;
  std::vector<Real> x;
};

template <class Real>
using StepTape = std::variant<std::monostate, std::unique_ptr<BlockTape>, ElementTape<Real>,
                              BatchNormTape<Real>>;

template <class Real>
class ChainTape : public Tape {
 public:
  explicit ChainTape(RowValues<Real> context) : context(std::move(context)) {}

  std::size_t batch = 0;
  BatchShare share;  // of the whole batch
  Direction direction = Direction::Forward;
  int regularisers = 0;
  std::uint64_t generation = 0;         // of the weights that the solve saw
  FixedTape fixed;                      // of the flow's first run
  bool of_dataset = false;              // whose rows went through that run once, without a tape
  RowValues<Real> context;              // (B, C)
  std::vector<StepTape<Real>> steps;    // indexed as the flow's blocks
  std::optional<ChainState<Real>> end;  // where it was asked for
};

}  // namespace ffjord
