// Evaluations that a solve keeps for its pullback: those of the stages of accepted steps, in up to
// half of the memory there is. What is not kept is evaluated once more, at a third of the
// pullback's time, and gives the same bits.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/memory.h"
#include "cpu/aligned.h"
#include "cpu/tile_system.h"

namespace ffjord::cpu {

/// What an evaluation left in the net's memory, and what it gave.
struct KeptEvaluation {
  KeptEvaluation() = default;
  ~KeptEvaluation();
  KeptEvaluation(const KeptEvaluation&) = delete;
  KeptEvaluation& operator=(const KeptEvaluation&) = delete;

  std::unique_ptr<Activations> activations;
  AlignedFloats rates;      // [channel][rows]
  std::uint64_t bytes = 0;  // counted so far
};

/// Their memory from solve to solve: fresh pages cost more than what is written on them. Others get
/// what lies idle where they need it.
class EvaluationPool {
 public:
  EvaluationPool();
  ~EvaluationPool() = default;
  EvaluationPool(const EvaluationPool&) = delete;
  EvaluationPool& operator=(const EvaluationPool&) = delete;

  /// Null where none is idle.
  std::unique_ptr<KeptEvaluation> take();
  void give_back(std::unique_ptr<KeptEvaluation> evaluation) noexcept;
  std::uint64_t idle_bytes() const { return idle_bytes_; }

 private:
  void release();

  std::mutex mutex_;  // under which nothing is allocated, as an allocation may call `release`
  std::list<std::unique_ptr<KeptEvaluation>> idle_;
  std::atomic<std::uint64_t> idle_bytes_ = 0;
  const IdleMemory idle_memory_;  // the last member, which goes first
};

/// The evaluations of one solve. Tiles may be used side by side.
class KeptEvaluations {
 public:
  /// `unasked` bytes are kept, of all solves together, before the system is asked how many it has.
  KeptEvaluations(const TileNet& net, const TracePlan& trace, const Regularisers& regularisers,
                  const Tableau& tableau, std::size_t tiles, std::uint64_t unasked,
                  std::shared_ptr<EvaluationPool> pool);
  ~KeptEvaluations();
  KeptEvaluations(const KeptEvaluations&) = delete;
  KeptEvaluations& operator=(const KeptEvaluations&) = delete;

  /// Where a stage of the step that a tile tries is to be kept; null where memory ends.
  KeptEvaluation* place(std::size_t tile, int stage);
  /// Once a place is filled.
  void count(KeptEvaluation& evaluation);
  /// A place that there was no memory to fill; the solve keeps no more.
  void drop(std::size_t tile, int stage);
  /// The stages that tiles first … first + count − 1 tried are those of their next step.
  void accept(std::size_t first, std::size_t count, const Step& step);

  /// Of a step's stages, each where it was kept, else null.
  std::span<const std::unique_ptr<KeptEvaluation>> stages(std::size_t tile,
                                                          std::size_t step) const {
    return tiles_[tile].accepted[step];
  }
  std::uint64_t bytes() const { return used_; }

 private:
  using Stages = std::vector<std::unique_ptr<KeptEvaluation>>;
  struct Tile {
    Stages tried;                  // by stage
    std::vector<Stages> accepted;  // by step
  };

  bool has_room();

  const TileNet& net_;
  const TracePlan trace_;
  const Regularisers regularisers_;
  const Tableau& tableau_;
  const std::shared_ptr<EvaluationPool> pool_;
  std::vector<Tile> tiles_;
  std::atomic<std::uint64_t> used_ = 0, limit_;  // bytes
  std::mutex asking_;
  bool full_ = false;
};

/// Scratch memory that an evaluation has while it is made or pulled back: a worker's own.
class BorrowedScratch {
 public:
  BorrowedScratch(const TileNet& net, Activations& borrower, Activations& lender)
      : net_(net), borrower_(borrower), lender_(lender) {
    net_.exchange_scratch(borrower_, lender_);
  }
  ~BorrowedScratch() { net_.exchange_scratch(borrower_, lender_); }
  BorrowedScratch(const BorrowedScratch&) = delete;
  BorrowedScratch& operator=(const BorrowedScratch&) = delete;

 private:
  const TileNet& net_;
  Activations &borrower_, &lender_;
};

}  // namespace ffjord::cpu
