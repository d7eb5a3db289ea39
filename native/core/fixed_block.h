// A fixed transform behind blocks with weights, in the memory of the host.
#pragma once

#include <memory>
#include <vector>

#include "core/fixed_transform.h"
#include "core/flow_block.h"

namespace ffjord {

/// Settles the rows of a forward solve that block `place` does not map: the call is refused, or
/// they are noted in `call.outside`. Returns whether they are to be moved inside. `found`: one
/// element of each such row.
template <class Real>
bool settle_outside(const BlockPlace<Real>& place, const ChainSolve<Real>& call,
                    const std::vector<OutsideElement>& found) {
  if (found.empty()) return false;
  std::vector<std::size_t> numbers;  // of a data set's rows in the set
  for (const OutsideElement& one : found) {
    numbers.push_back(call.request.rows.number_of(one.row));
    call.outside.push_back(one.row);
  }
  if (call.request.outside == Outside::Refuse)
    throw OutsideSupport(numbers, reason_outside(place.block, place.index, found.front(), true),
                         true);
  return true;
}

template <class Real>
class FixedBlock : public FlowBlock<Real> {
 public:
  explicit FixedBlock(const BlockPlace<Real>& place) : place_(place) {}

  std::unique_ptr<BlockTape> solve(const ChainSolve<Real>& call, ChainState<Real>& state) override {
    const TransformRows<Real> rows = state.rows();
    const bool reverse = call.reverse();
    if (!reverse) {
      const auto found = find_outside(place_.block, rows);
      if (settle_outside(place_, call, found)) move_inside(place_.block, found, rows);
    }
    auto tape = std::make_unique<Tape>();
    tape->reverse = reverse;
    const bool keeps = call.request.keep_tape && is_element_map(place_.block);
    const auto keep = [&] { tape->x.assign(rows.values.begin(), rows.values.end()); };
    if (keeps && !reverse) keep();
    map_fixed(place_.block, place_.shape, reverse, rows);
    if (keeps && reverse) keep();
    return tape;
  }

  void pullback(const BlockTape& any_tape, const ChainPullback<Real>&,
                ChainState<Real>& bar) override {
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    pull_back_fixed<Real>(place_.block, place_.shape, tape.reverse, tape.x, bar.rows());
  }

 private:
  struct Tape : BlockTape {
    std::vector<Real> x;  // the data side of an element map (B, D)
  };

  const BlockPlace<Real> place_;
};

}  // namespace ffjord
