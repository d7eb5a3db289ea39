// What a flow's train takes and tells beside what every burst does.
#pragma once

#include "binding/results.h"
#include "binding/training_jobs.h"
#include "core/flow_training.h"

namespace ffjord::binding {

class FlowLesson {
 public:
  using Model = Flow;
  using Record = FlowIteration;

  FlowLesson(const Fields& call, const Flow* flow);
  std::size_t row_count() const { return rows_->rows->count(); }
  void check(const Fields& call, std::size_t batches) const;
  std::vector<FlowIteration> train(Flow& flow, const BurstCall& call) const;
  void define_own(const Napi::Object& object, const FlowIteration& record,
                  const BurstCall& call) const;

 private:
  Objective objective_;
  Coupling coupling_;
  std::size_t parts_;
  bool shared_steps_;
  std::shared_ptr<const KeptRows<Flow>> rows_, contexts_;
  std::vector<std::uint32_t> visits_;
};

}  // namespace ffjord::binding
