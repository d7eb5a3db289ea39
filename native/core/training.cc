#include "core/training.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "core/batch_parts.h"

namespace ffjord {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Whether other weights may have no such failure.
bool is_by_weights(const Error& error) {
  const auto* outside = dynamic_cast<const OutsideSupport*>(&error);
  return outside ? outside->by_weights : error.code == ErrorCode::SolveFailed;
}

// The rows of one iteration, and where its noise comes from.
struct Batch {
  std::size_t count = 0;
  std::span<const std::uint32_t> indices;
  std::uint32_t visit = 0;
  Noise noise;
};

void add(std::vector<double>& sums, const std::vector<double>& values, double weight) {
  sums.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) sums[i] += weight * values[i];
}

// Adds what one solve counted, weighted by its share of the batch.
void add(IterationRecord& record, const LossReport& report, double weight) {
  record.loss += weight * report.loss;
  record.negative_log_prob += weight * report.negative_log_prob;
  add(record.regularisers, report.regularisers, weight);
  add(record.block_evaluations, report.block_evaluations, weight);
  record.evaluations += weight * report.forward.evaluations;
  record.backward_evaluations += weight * report.backward.evaluations;
  record.accepted += weight * report.forward.accepted;
  record.rejected += weight * report.forward.rejected;
}

// The loss of a batch and its gradients, in the flow's buffer.
class Objectives {
 public:
  Objectives(Flow& flow, const BurstRequest& request) : flow_(flow), request_(request) {
    if (request.objective == Objective::FlowMatching) matching_.emplace(flow, request.coupling);
  }

  IterationRecord loss(const Batch& batch) const {
    IterationRecord record;
    const std::size_t parts = std::min<std::size_t>(request_.parts, batch.count);
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t first = batch.count * part / parts;
      const std::size_t count = batch.count * (part + 1) / parts - first;
      const double weight = double(count) / double(batch.count);
      Noise noise = batch.noise;
      noise.row_offset += static_cast<std::uint32_t>(first);
      const auto indices = batch.indices.subspan(first, count);
      if (matching_) {
        if (part == 0) flow_.zero_gradients();
        std::vector<double> rows(count * element_count(flow_.description().shape));
        flow_.gather({request_.rows, indices, batch.visit}, rows);
        std::vector<double> context(
            request_.contexts ? count * std::size_t(flow_.description().context.size) : 0);
        if (request_.contexts) flow_.gather({*request_.contexts, indices}, context);
        record.loss += weight * matching_->loss(flow_, {count, rows, context, noise}, weight);
        record.evaluations = record.backward_evaluations = 1;
        record.negative_log_prob = std::numeric_limits<double>::quiet_NaN();
        continue;
      }
      SolveRequest solve;
      solve.batch = count;
      solve.rows = {request_.rows, indices, batch.visit};
      if (request_.contexts) solve.context = {*request_.contexts, indices};
      solve.noise = noise;
      solve.settings = request_.settings;
      solve.training = true;
      solve.stop = request_.stop;
      const auto loss_of_part = [&] {
        return ffjord::loss(flow_, solve, request_.weights, {}, {}, {weight, part == 0});
      };
      add(record, numbered_from(first, loss_of_part, true), weight);
    }
    return record;
  }

 private:
  Flow& flow_;
  const BurstRequest& request_;
  std::optional<FlowMatching> matching_;
};

}  // namespace

std::vector<IterationRecord> train(Flow& flow, const BurstRequest& request) {
  const double start = now();
  const Objectives objectives(flow, request);
  std::vector<IterationRecord> records;
  Batch batch;
  batch.noise.seed = request.noise_seed;
  OptimizerOptions optimizer = request.optimizer;
  std::size_t first = 0;

  for (std::size_t iteration = 0; iteration < request.batch_sizes.size(); ++iteration) {
    const double began = now();
    if (iteration > 0 && (began - start >= request.seconds || request.stop.stop_requested())) break;
    batch.count = request.batch_sizes[iteration];
    batch.noise.call = request.first_call + static_cast<std::uint32_t>(iteration);
    batch.indices = request.indices.subspan(first, batch.count);
    first += batch.count;
    if (!request.visits.empty()) batch.visit = request.visits[iteration];

    IterationRecord record;
    try {
      record = objectives.loss(batch);
      optimizer.learning_rate = request.learning_rates[iteration];
      record.gradient_norm = flow.step(optimizer).gradient_norm;
      ++optimizer.step;
    } catch (const Error& error) {
      // What went before is reported first; the next burst meets this batch again. A stop in the
      // middle of an iteration undoes nothing: the weights are those of the last step.
      const bool skips = request.skip_failures && is_by_weights(error);
      if (!skips && (is_by_weights(error) || error.code == ErrorCode::Cancelled) &&
          !records.empty())
        break;
      if (!skips) throw;
      record = {};
      record.skipped = true;
    }
    record.seconds = now() - began;
    records.push_back(record);
  }
  return records;
}

}  // namespace ffjord
