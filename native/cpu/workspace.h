// Memory that a block keeps from call to call, for one form of the divergence.
#pragma once

#include <memory>
#include <vector>

#include "core/spare.h"
#include "cpu/joint_solve.h"
#include "cpu/kept_evaluations.h"
#include "cpu/stage_times.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu {

class Workspace {
 public:
  Workspace(const TileNet& net, const TracePlan& trace, const Regularisers& regularisers)
      : times(net, trace), net_(net), trace_(trace), regularisers_(regularisers) {}

  /// Memory of one worker.
  struct Worker {
    Worker(const TileNet& net, const TracePlan& trace) : times(net, trace) {}
    StageTimes times;                                       ///< of tiles that step alone
    std::vector<std::unique_ptr<Activations>> activations;  ///< one, or one a stage
    AlignedFloats rates, bars;
    std::vector<double> row_sums;
  };

  bool serves(const TracePlan& trace, const Regularisers& regularisers) const {
    return trace.divergence == trace_.divergence && trace.probes == trace_.probes &&
           regularisers == regularisers_;
  }

  /// Before `worker` is called for numbers below `count`.
  void reserve_workers(int count) {
    if (workers_.size() < std::size_t(count)) workers_.resize(count);
  }
  /// By that worker alone, which makes its memory on first use.
  Worker& worker(int number) {
    auto& worker = workers_[number];
    if (!worker) worker = std::make_unique<Worker>(net_, trace_);
    return *worker;
  }
  Activations& activations(Worker& worker, std::size_t stage) const {
    while (worker.activations.size() <= stage)
      worker.activations.push_back(net_.make_activations(trace_, regularisers_));
    return *worker.activations[stage];
  }

  /// The first `count` slots of set number `set`, cleared.
  std::vector<GradientSlot*> clear_slots(std::size_t set, std::size_t count) {
    if (slots_.size() <= set) slots_.resize(set + 1);
    auto& slots = slots_[set];
    while (slots.size() < count) slots.push_back(net_.make_gradient_slot(trace_));
    std::vector<GradientSlot*> cleared;
    for (std::size_t i = 0; i < count; ++i) {
      slots[i]->clear();
      cleared.push_back(slots[i].get());
    }
    return cleared;
  }

  StageTimes times;          ///< of tiles that step together
  AlignedFloats terms_bars;  ///< [tile][P][rows]
  /// Of the terms of a context, which the tape of a solve takes with it.
  const std::shared_ptr<Spare<AlignedFloats>> spare = std::make_shared<Spare<AlignedFloats>>();
  const std::shared_ptr<EvaluationPool> evaluations = std::make_shared<EvaluationPool>();
  TileStates states;
  std::vector<StepScratch> steps;  ///< one a worker, or one a tile

 private:
  const TileNet& net_;
  const TracePlan trace_;
  const Regularisers regularisers_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::vector<std::unique_ptr<GradientSlot>>> slots_;
};

}  // namespace ffjord::cpu
