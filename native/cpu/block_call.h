// What the solves and pullbacks of a block share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/block_plan.h"
#include "core/block_tape.h"
#include "cpu/kept_evaluations.h"
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
  /// Bytes of evaluations that a solve keeps for its pullback before it asks whether there is
  /// memory for more; 0: it keeps none.
  std::uint64_t keeps_unasked;
  bool costly_times;  ///< a time slot costs like an evaluation of some rows

  double t0() const { return reverse ? end_time : 0; }
  double t1() const { return reverse ? 0 : end_time; }
  /// Regularisers are integrals over |dt|.
  float direction() const { return reverse ? -1.f : 1.f; }
  std::size_t regularisers() const { return plan.regularisers.count(); }
  std::size_t z_size() const { return dimension * tiles.rows; }
  /// Who sets the times of tiles that step together.
  Team* time_setters() const { return costly_times ? &team : nullptr; }
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
  SolveTape() = default;
  explicit SolveTape(std::shared_ptr<Spare<AlignedFloats>> spare) : spare(std::move(spare)) {}
  ~SolveTape() override {
    if (spare && !terms.empty()) spare->give_back(std::move(terms));
  }

  BlockPlan plan;
  Tiles tiles;
  AlignedFloats eps;                      // [tile][K][D][rows]
  std::vector<std::vector<Step>> steps;   // one list for all tiles, or one a tile (Control::Tile)
  std::vector<AlignedFloats> states;      // a tile's z before each step, [step][D][rows]
  std::unique_ptr<KeptEvaluations> kept;  // of those steps, where it is worth their memory; or null
  AlignedFloats end;                      // adjoint: the end state, [tile][z, −Δlogp][rows]
  AlignedFloats terms;                    // of the context, [tile][P][rows]
  const std::shared_ptr<Spare<AlignedFloats>> spare;  // where their memory is from
  RowSteps rows;  // under Control::Sample: in place of eps, steps, states

  std::size_t kept_bytes() const override { return kept ? kept->bytes() : 0; }
  const float* tile_noise(std::size_t tile) const {
    return eps.empty() ? nullptr : eps.data() + tile * (eps.size() / tiles.count());
  }
  std::span<const std::unique_ptr<KeptEvaluation>> kept_stages(std::size_t tile,
                                                               std::size_t step) const {
    return kept ? kept->stages(tile, step) : std::span<const std::unique_ptr<KeptEvaluation>>();
  }
  const float* tile_terms(std::size_t tile) const {
    return terms.empty() ? nullptr : terms.data() + tile * (terms.size() / tiles.count());
  }
};

}  // namespace ffjord::cpu
