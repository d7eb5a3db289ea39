// step, train and idle.
#include <numeric>

#include "binding/handles.h"
#include "binding/jobs.h"
#include "binding/requests.h"
#include "binding/results.h"
#include "core/training.h"

namespace ffjord::binding {
namespace {

class StepJob : public FlowJob {
 public:
  StepJob(const FlowContext& context, const OptimizerOptions& options)
      : FlowJob(context.model), options_(options) {}

 private:
  void compute(Flow& flow, const std::stop_token&) override { report_ = flow.step(options_); }
  Napi::Value result(Napi::Env env) override {
    auto object = Napi::Object::New(env);
    define(object, "gradientNorm", report_.gradient_norm);
    return object;
  }

  const OptimizerOptions options_;
  StepReport report_;
};

// A burst's arguments; the job holds the arrays that the core's request views.
struct Burst {
  Objective objective{};
  Coupling coupling{};
  int parts = 1;
  std::shared_ptr<const KeptRows<Flow>> rows, contexts;
  std::vector<std::uint32_t> indices, batch_sizes, visits;
  std::vector<double> learning_rates;
  SettingsRequest settings;
  OptimizerOptions optimizer;
  std::uint64_t noise_seed = 0;
  std::uint32_t first_call = 0;
  double seconds = 0;
  bool skip_failures = false;
};

constexpr Choices<Objective, 2> kObjectives{
    {{"ml", Objective::MaximumLikelihood}, {"fm", Objective::FlowMatching}}};
constexpr Choices<Coupling, 2> kCouplings{
    {{"independent", Coupling::Independent}, {"optimal", Coupling::Optimal}}};

Burst burst(const Fields& fields, const Flow* flow) {
  Burst burst;
  burst.objective = fields.choice("objective", kObjectives);
  burst.coupling = fields.choice("coupling", kCouplings);
  burst.parts = static_cast<int>(fields.integer("parts", 1, 0x7FFFFFFF));
  burst.rows = RowsHandle::of(fields["rows"], flow);
  if (fields.has("contexts")) burst.contexts = RowsHandle::of(fields["contexts"], flow);
  burst.indices = fields.indices("indices");
  burst.batch_sizes = fields.indices("batchSizes");
  if (fields.has("visits")) burst.visits = fields.indices("visits");
  burst.learning_rates = fields.doubles("learningRates");
  burst.settings = settings_request(fields.object("settings"));
  burst.optimizer = optimizer_options(fields.object("optimizer"));
  burst.noise_seed = fields.integer("noiseSeed", 0, kLargestInteger);
  burst.first_call = static_cast<std::uint32_t>(fields.integer("firstCall", 0, 0xFFFFFFFF));
  burst.seconds = fields.number("seconds");
  burst.skip_failures = fields.flag("skipFailures");

  if (burst.batch_sizes.empty()) refuse(fields.path("batchSizes") + " must not be empty");
  if (burst.learning_rates.size() != burst.batch_sizes.size())
    refuse(fields.path("learningRates") + " needs one entry a batch");
  if (!burst.visits.empty() && burst.visits.size() != burst.batch_sizes.size())
    refuse(fields.path("visits") + " needs one entry a batch");
  for (std::uint32_t size : burst.batch_sizes)
    if (size == 0) refuse(fields.path("batchSizes") + " holds an empty batch");
  const std::size_t count =
      std::accumulate(burst.batch_sizes.begin(), burst.batch_sizes.end(), std::size_t{0});
  if (count != burst.indices.size())
    refuse(fields.path("indices") +
           " must hold as many rows as the batches: " + std::to_string(count));
  const std::size_t rows = burst.rows->rows->count();
  if (burst.contexts && burst.contexts->rows->count() != rows)
    refuse(fields.path("contexts") +
           " must have as many rows as the samples: " + std::to_string(rows));
  for (std::uint32_t index : burst.indices)
    if (index >= rows) refuse(fields.path("indices") + " names a row beyond the last");
  return burst;
}

class TrainJob : public FlowJob {
 public:
  TrainJob(const FlowContext& context, std::stop_source stop, Burst burst)
      : FlowJob(context.model, std::move(stop)), burst_(std::move(burst)) {}

 private:
  void compute(Flow& flow, const std::stop_token& stop) override {
    BurstRequest request{.objective = burst_.objective,
                         .coupling = burst_.coupling,
                         .parts = burst_.parts,
                         .rows = *burst_.rows->rows,
                         .contexts = burst_.contexts ? burst_.contexts->rows.get() : nullptr,
                         .indices = burst_.indices,
                         .batch_sizes = burst_.batch_sizes,
                         .visits = burst_.visits,
                         .learning_rates = burst_.learning_rates,
                         .settings = burst_.settings.settings,
                         .weights = burst_.settings.weights,
                         .optimizer = burst_.optimizer,
                         .noise_seed = burst_.noise_seed,
                         .first_call = burst_.first_call,
                         .seconds = burst_.seconds,
                         .skip_failures = burst_.skip_failures,
                         .stop = stop};
    records_ = train(flow, request);
  }
  Napi::Value result(Napi::Env env) override {
    return iterations(env, burst_.settings.settings.regularisers, records_);
  }

  const Burst burst_;
  std::vector<IterationRecord> records_;
};

class IdleJob : public FlowJob {
 public:
  using FlowJob::FlowJob;

 private:
  void compute(Flow&, const std::stop_token&) override {}
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }
};

}  // namespace

std::unique_ptr<Job> step_job(const FlowContext& context, const Napi::CallbackInfo& info,
                              ArrayUse) {
  return std::make_unique<StepJob>(context, optimizer_options(Fields(info[0], "optimizer")));
}

std::unique_ptr<Job> train_job(const FlowContext& context, const Napi::CallbackInfo& info,
                               ArrayUse) {
  const Fields fields(info[0], "burst");
  std::stop_source stop = StopHandle::of(fields);
  return std::make_unique<TrainJob>(context, std::move(stop), burst(fields, context.model.get()));
}

std::unique_ptr<Job> idle_job(const FlowContext& context, const Napi::CallbackInfo&, ArrayUse) {
  return std::make_unique<IdleJob>(context.model);
}

}  // namespace ffjord::binding
