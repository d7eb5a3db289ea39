// What a block's calls keep from one to the next: memory of evaluations, made for the size of batch
// and the plan used last.
#pragma once

#include <optional>
#include <vector>

#include "core/block_tape.h"
#include "cuda/fused/fused_solve.h"
#include "cuda/net/block_call.h"
#include "cuda/step/joint_solve.h"
#include "cuda/step/kept_steps.h"

namespace ffjord::cuda {

/// What all solves have in common that one JointSolve carries out, beside the EvaluationSize.
struct SolveKind {
  SolverOptions solver;
  Grouping grouping;
  bool reverse = false;
  const float *eps = nullptr, *terms = nullptr;
  bool keeps_steps = false;  ///< JointSolve: where SolveTape::kept has room
  bool operator==(const SolveKind&) const = default;
};

class Workspace {
 public:
  Workspace(const DeviceNet& net, const Stream& stream)
      : net_(net), stream_(stream), loops_(stream.options().loops && DeviceLoop::supported()) {}

  void use(const EvaluationSize& size) {
    if (size == size_) return;
    drop_solves();
    evaluations_.clear();
    octets_.reset();
    tapes_.clear();
    scratch_ = {};
    has_scratch_ = false;
    size_ = size;
  }
  std::size_t tape_floats() const { return net_.tape_floats(size_); }
  Evaluation& evaluation(std::size_t stage, float* tape) {
    if (!octets_) octets_.emplace(net_.make_octets(size_));
    while (evaluations_.size() <= stage)
      evaluations_.push_back(net_.make_evaluation(size_, *octets_));
    Evaluation& evaluation = evaluations_[stage];
    if (evaluation.tape != tape) net_.place_tape(size_, tape, evaluation);
    return evaluation;
  }
  /// An evaluation with a tape in memory of its own.
  Evaluation& evaluation(std::size_t stage) {
    while (tapes_.size() <= stage) tapes_.emplace_back(tape_floats(), stream_);
    return evaluation(stage, tapes_[stage].data());
  }
  PullbackScratch& scratch() {
    if (!has_scratch_) scratch_ = net_.make_scratch(size_);
    has_scratch_ = true;
    return scratch_;
  }
  /// A copy at an address that stays while the count does: a recorded loop reads it.
  enum Input { kEps, kTerms, kInputs };
  const float* keep(Input input, const float* values, std::size_t count) {
    DeviceArray<float>& kept = inputs_[input];
    if (kept.size() != count) kept = DeviceArray<float>(count, stream_);
    if (count > 0)
      check(cudaMemcpyAsync(kept.data(), values, count * sizeof(float), cudaMemcpyDeviceToDevice,
                            stream_.get()),
            "copy of what a solve reads");
    return kept.data();
  }
  /// The one used last, where it is of that kind.
  JointSolve& solve(const SolveKind& kind, const StateShape& shape) {
    if (solve_ && kind == kind_) return *solve_;
    drop_solves();
    kind_ = kind;
    return solve_.emplace(kind.solver, kind.grouping, shape, loops_, stream_);
  }
  FusedSolve& fused_solve(const SolveKind& kind, const FusedPlan& plan) {
    if (fused_solve_ && kind == kind_) return *fused_solve_;
    drop_solves();
    kind_ = kind;
    return fused_solve_.emplace(plan, kind.solver, stream_);
  }

 private:
  void drop_solves() {
    solve_.reset();
    fused_solve_.reset();
  }

  const DeviceNet& net_;
  const Stream& stream_;
  const bool loops_;
  EvaluationSize size_;
  std::optional<OctetScratch> octets_;
  std::vector<Evaluation> evaluations_;
  std::vector<DeviceArray<float>> tapes_;
  PullbackScratch scratch_;
  bool has_scratch_ = false;
  DeviceArray<float> inputs_[kInputs];
  SolveKind kind_;
  std::optional<JointSolve> solve_;  // one of the two, of that kind
  std::optional<FusedSolve> fused_solve_;
};

/// What a pullback needs of its solve.
struct SolveTape : BlockTape {
  BlockPlan plan;
  Grouping grouping;
  DeviceArray<float> eps;     ///< as FieldPoint's
  DeviceArray<Group> groups;  ///< as they ended
  std::vector<int> steps;     ///< of each group
  SolveStatistics ranges;     ///< of the accepted steps
  Checkpoints checkpoints;    ///< z before each step
  KeptSteps kept;             ///< of JointSolve, under one group
  DeviceArray<float> end;     ///< adjoint: the end state (B, S)
};

}  // namespace ffjord::cuda
