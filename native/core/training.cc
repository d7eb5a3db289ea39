#include "core/training.h"

#include <chrono>

namespace ffjord {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::vector<IterationRecord> train(Flow& flow, const BurstRequest& request) {
  const std::size_t size = element_count(flow.description().shape);
  const double start = now();
  std::vector<IterationRecord> records;
  std::vector<double> batch, context;
  OptimizerOptions optimizer = request.optimizer;
  std::size_t first = 0;

  for (std::size_t iteration = 0; iteration < request.batch_sizes.size(); ++iteration) {
    const double began = now();
    if (iteration > 0 && (began - start >= request.seconds || request.stop.stop_requested())) break;
    const std::size_t rows = request.batch_sizes[iteration];
    batch.resize(rows * size);
    flow.gather(request.rows, request.indices.subspan(first, rows), batch);
    if (request.contexts) {
      context.resize(rows * flow.description().context.size);
      flow.gather(*request.contexts, request.indices.subspan(first, rows), context);
    }
    first += rows;

    SolveRequest solve;
    solve.batch = rows;
    solve.rows = batch;
    solve.context = context;
    solve.noise.seed = request.noise_seed;
    solve.noise.call = request.first_call + static_cast<std::uint32_t>(iteration);
    solve.settings = request.settings;
    solve.training = true;
    solve.stop = request.stop;

    IterationRecord record;
    try {
      const LossReport report = loss(flow, solve, request.weights, {});
      optimizer.learning_rate = request.learning_rates[iteration];
      const StepReport step = flow.step(optimizer);
      ++optimizer.step;
      record.loss = report.loss;
      record.negative_log_prob = report.negative_log_prob;
      record.kinetic = report.kinetic;
      record.jacobian = report.jacobian;
      record.evaluations = report.forward.evaluations;
      record.backward_evaluations = report.backward.evaluations;
      record.accepted = report.forward.accepted;
      record.rejected = report.forward.rejected;
      record.gradient_norm = step.gradient_norm;
    } catch (const SolveFailure&) {
      // What went before is reported first; the next burst meets this batch again.
      if (!request.skip_failures && !records.empty()) break;
      if (!request.skip_failures) throw;
      record.skipped = true;
    } catch (const Error& error) {
      // A stop in the middle of an iteration undoes nothing: the weights are those of the last
      // step.
      if (error.code != ErrorCode::Cancelled || records.empty()) throw;
      break;
    }
    record.seconds = now() - began;
    records.push_back(record);
  }
  return records;
}

}  // namespace ffjord
