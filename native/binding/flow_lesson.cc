#include "binding/flow_lesson.h"

#include "binding/handles.h"

namespace ffjord::binding {
namespace {

constexpr Choices<Objective, 2> kObjectives{
    {{"ml", Objective::MaximumLikelihood}, {"fm", Objective::FlowMatching}}};
constexpr Choices<Coupling, 2> kCouplings{
    {{"independent", Coupling::Independent}, {"optimal", Coupling::Optimal}}};

}  // namespace

FlowLesson::FlowLesson(const Fields& call, const Flow* flow)
    : objective_(call.choice("objective", kObjectives)),
      coupling_(call.choice("coupling", kCouplings)),
      parts_(call.integer("parts", 1, 0x7FFFFFFF)),
      shared_steps_(call.has("sharedSteps") && call.flag("sharedSteps")),
      rows_(RowsHandle::of(call["rows"], flow)) {
  if (call.has("contexts")) contexts_ = RowsHandle::of(call["contexts"], flow);
  if (call.has("visits")) visits_ = call.indices("visits");
}

void FlowLesson::check(const Fields& call, std::size_t batches) const {
  if (!visits_.empty()) check_batches(call, "visits", visits_.size(), batches);
  if (contexts_ && contexts_->rows->count() != row_count())
    refuse(call.path("contexts") +
           " must have as many rows as the samples: " + std::to_string(row_count()));
}

std::vector<FlowIteration> FlowLesson::train(Flow& flow, const BurstCall& call) const {
  const FlowTask task{.objective = objective_,
                      .coupling = coupling_,
                      .parts = parts_,
                      .rows = *rows_->rows,
                      .contexts = contexts_ ? contexts_->rows.get() : nullptr,
                      .visits = visits_,
                      .weights = call.weights};
  Burst burst = call.burst;
  burst.settings.solver.shared = shared_steps_;
  return ffjord::train(flow, task, burst);
}

void FlowLesson::define_own(const Napi::Object& object, const FlowIteration& record,
                            const BurstCall& call) const {
  const Napi::Env env = object.Env();
  define(object, "negativeLogProb", record.negative_log_prob);
  define(object, "parts", double(record.parts));
  define(object, "regularisers",
         by_name(env, call.burst.settings.regularisers, record.regularisers));
  define(object, "blockEvaluations", numbers(env, record.block_evaluations));
}

}  // namespace ffjord::binding
