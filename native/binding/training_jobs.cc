#include "binding/training_jobs.h"

#include <numeric>

namespace ffjord::binding {

BurstCall burst_call(const Fields& fields, std::size_t rows) {
  BurstCall call;
  call.indices = fields.indices("indices");
  call.batch_sizes = fields.indices("batchSizes");
  call.learning_rates = fields.doubles("learningRates");
  SettingsRequest settings = settings_request(fields.object("settings"));
  call.weights = std::move(settings.weights);
  call.burst.settings = std::move(settings.settings);
  call.burst.optimizer = optimizer_options(fields.object("optimizer"));
  call.burst.noise_seed = fields.integer("noiseSeed", 0, kLargestInteger);
  call.burst.first_call = static_cast<std::uint32_t>(fields.integer("firstCall", 0, 0xFFFFFFFF));
  call.burst.seconds = fields.number("seconds");
  call.burst.skip_failures = fields.flag("skipFailures");
  if (fields.has("data")) call.burst.data = fields.integer("data", 0, kLargestInteger);
  call.burst.sharded = fields.has("sharded") && fields.flag("sharded");
  call.burst.indices = call.indices;
  call.burst.batch_sizes = call.batch_sizes;
  call.burst.learning_rates = call.learning_rates;

  if (call.batch_sizes.empty()) refuse(fields.path("batchSizes") + " must not be empty");
  check_batches(fields, "learningRates", call.learning_rates.size(), call.batch_sizes.size());
  for (std::uint32_t size : call.batch_sizes)
    if (size == 0) refuse(fields.path("batchSizes") + " holds an empty batch");
  const std::size_t count =
      std::accumulate(call.batch_sizes.begin(), call.batch_sizes.end(), std::size_t{0});
  if (count != call.indices.size())
    refuse(fields.path("indices") +
           " must hold as many rows as the batches: " + std::to_string(count));
  for (std::uint32_t index : call.indices)
    if (index >= rows) refuse(fields.path("indices") + " names a row beyond the last");
  return call;
}

void check_batches(const Fields& fields, const char* name, std::size_t entries,
                   std::size_t batches) {
  if (entries != batches) refuse(fields.path(name) + " needs one entry a batch");
}

void define_iteration(const Napi::Object& object, const IterationRecord& record) {
  define(object, "loss", record.loss);
  define(object, "evaluations", record.evaluations);
  define(object, "backwardEvaluations", record.backward_evaluations);
  define(object, "accepted", record.accepted);
  define(object, "rejected", record.rejected);
  define(object, "gradientNorm", record.gradient_norm);
  define(object, "seconds", record.seconds);
  define(object, "skipped", record.skipped);
}

}  // namespace ffjord::binding
