// What the solves and pullbacks of a block share.
#pragma once

#include <algorithm>
#include <vector>

#include "core/continuous_block.h"
#include "cpu/thread_pool.h"
#include "cpu/tiles.h"
#include "cpu/workspace.h"

namespace ffjord::cpu {

struct BlockCall {
  const TileNet& net;
  Workspace& workspace;
  Team& team;
  const BlockPlan& plan;
  Tiles tiles;
  std::size_t dimension;  ///< D
  bool reverse;
  double end_time;  ///< T
  bool dear_times;  ///< a time slot costs like an evaluation of some rows

  double t0() const { return reverse ? end_time : 0; }
  double t1() const { return reverse ? 0 : end_time; }
  /// Regularisers are integrals over |dt|.
  float direction() const { return reverse ? -1.f : 1.f; }
  std::size_t regularisers() const { return plan.regularisers.count(); }
  std::size_t z_size() const { return dimension * tiles.rows; }
  /// Of tiles that step together.
  Team* time_setters() const { return dear_times ? &team : nullptr; }
};

/// Accepted steps of rows that stepped apart, row after row.
struct RowSteps {
  std::vector<std::size_t> first;  // (B + 1): the steps of a row are first[row] … first[row + 1]
  std::vector<Step> steps;
  std::vector<float> z;    // (steps, D): before each
  std::vector<float> eps;  // (K, B, D)

  std::size_t count(std::size_t row) const { return first[row + 1] - first[row]; }
};

/// What a pullback needs of its solve.
struct SolveTape : BlockTape {
  BlockPlan plan;
  bool reverse = false;
  Tiles tiles;
  AlignedFloats eps;                     // [tile][K][D][rows]
  std::vector<std::vector<Step>> steps;  // one list for all tiles, or one a tile (Control::Tile)
  std::vector<AlignedFloats> states;     // a tile's z before each step, [step][D][rows]
  AlignedFloats end;                     // adjoint: the end state, [tile][z, −Δlogp][rows]
  AlignedFloats terms;                   // of the context, [tile][P][rows]
  RowSteps rows;                         // under Control::Sample: in place of eps, steps, states

  const float* tile_noise(std::size_t tile) const {
    return eps.empty() ? nullptr : eps.data() + tile * (eps.size() / tiles.count());
  }
  const float* tile_terms(std::size_t tile) const {
    return terms.empty() ? nullptr : terms.data() + tile * (terms.size() / tiles.count());
  }
};

/// In how many slots weight gradients are summed, tile t in slot t mod count. Whatever the number
/// of threads it is the same, so that sums are too; more threads than slots have nothing to do.
inline std::size_t slot_count(std::size_t weights, std::size_t sets, std::size_t tiles) {
  constexpr std::size_t kMostSlots = 16, kMostBytes = std::size_t{32} << 20;
  const std::size_t fitting =
      kMostBytes / (sets * std::max<std::size_t>(1, weights) * sizeof(float));
  return std::min(tiles, std::clamp<std::size_t>(fitting, 1, kMostSlots));
}

/// Runs a job for each tile, those of a slot in order under one worker.
inline void for_each_by_slot(Team& team, std::size_t tiles, std::size_t slots, const Job& job) {
  team.run(slots, [&](int worker, std::size_t slot) {
    for (std::size_t tile = slot; tile < tiles; tile += slots) job(worker, tile);
  });
}

}  // namespace ffjord::cpu
