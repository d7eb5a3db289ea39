#include "core/flow_training.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "core/batch_parts.h"

namespace ffjord {
namespace {

void add(std::vector<double>& sums, const std::vector<double>& values, double weight) {
  sums.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) sums[i] += weight * values[i];
}

// Adds what one solve counted, weighted by its share of the batch.
void add(FlowIteration& record, const LossReport& report, double weight) {
  record.loss += weight * report.loss;
  record.negative_log_prob += weight * report.negative_log_prob;
  add(record.regularisers, report.regularisers, weight);
  add(record.block_evaluations, report.block_evaluations, weight);
  record.count(report.forward, report.backward, weight);
}

// The loss of a batch and its gradients, in the flow's buffer.
class Objectives {
 public:
  Objectives(Flow& flow, const FlowTask& task, const Burst& burst)
      : flow_(flow), task_(task), burst_(burst) {
    if (task.objective == Objective::FlowMatching) matching_.emplace(flow, task.coupling);
  }

  FlowIteration loss(const Batch& batch) const {
    FlowIteration record;
    const std::size_t whole = batch.indices.size();
    const std::size_t parts = std::min<std::size_t>(task_.parts, whole);
    const std::uint32_t visit = task_.visits.empty() ? 0 : task_.visits[batch.number];
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t first = whole * part / parts;
      const std::size_t count = whole * (part + 1) / parts - first;
      const double weight = double(count) / double(whole);
      Noise noise = batch.noise;
      noise.row_offset += static_cast<std::uint32_t>(first);
      const auto indices = batch.indices.subspan(first, count);
      if (matching_) {
        if (part == 0) flow_.zero_gradients();
        std::vector<double> rows(count * element_count(flow_.description().shape));
        flow_.gather({task_.rows, indices, visit}, rows);
        std::vector<double> context(
            task_.contexts ? count * std::size_t(flow_.description().context.size) : 0);
        if (task_.contexts) flow_.gather({*task_.contexts, indices}, context);
        record.loss += weight * matching_->loss(flow_, {count, rows, context, noise}, weight);
        record.evaluations = record.backward_evaluations = 1;
        record.negative_log_prob = std::numeric_limits<double>::quiet_NaN();
        continue;
      }
      SolveRequest solve;
      solve.batch = count;
      solve.rows = {task_.rows, indices, visit};
      if (task_.contexts) solve.context = {*task_.contexts, indices};
      solve.noise = noise;
      solve.settings = burst_.settings;
      solve.training = true;
      solve.stop = burst_.stop;
      const auto loss_of_part = [&] {
        return ffjord::loss(flow_, solve, task_.weights, {}, {}, {weight, part == 0});
      };
      add(record, numbered_from(first, loss_of_part, true), weight);
    }
    return record;
  }

 private:
  Flow& flow_;
  const FlowTask& task_;
  const Burst& burst_;
  std::optional<FlowMatching> matching_;
};

}  // namespace

std::vector<FlowIteration> train(Flow& flow, const FlowTask& task, const Burst& burst) {
  const Objectives objectives(flow, task, burst);
  return run_burst<FlowIteration>(burst, flow,
                                  [&](const Batch& batch) { return objectives.loss(batch); });
}

}  // namespace ffjord
