#include "core/flow_training.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "core/batch_parts.h"
#include "core/shared_batch.h"

namespace ffjord {
namespace {

void add(std::vector<double>& sums, std::span<const double> values, double weight) {
  sums.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) sums[i] += weight * values[i];
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
    // A group adds up each part by itself, as one process does.
    std::vector<double> gradients;
    for (std::size_t number = 0; number < parts; ++number) {
      const std::size_t first = whole * number / parts;
      const std::size_t count = whole * (number + 1) / parts - first;
      const bool clears = number == 0 || burst_.group;
      const Part part{first, count, double(count) / double(whole), clears};
      matching_ ? match(batch, part, record) : solve(batch, part, record);
      if (burst_.group && parts > 1) add_gradients(gradients);
    }
    if (!gradients.empty()) flow_.write(Buffer::Gradients, gradients);
    return record;
  }

 private:
  // Rows of a batch whose gradients are computed at once.
  struct Part {
    std::size_t first, count;
    double weight;  // of the batch's rows
    bool clears;    // the gradients of what went before
  };

  void match(const Batch& batch, const Part& part, FlowIteration& record) const {
    const bool grouped = task_.coupling == Coupling::Optimal;
    const SharedBatch shared(burst_.group, part.count, grouped ? kCoupledRows : 1);
    const std::size_t count = shared.count();
    const auto indices = batch.indices.subspan(part.first + shared.first(), count);
    if (part.clears) flow_.zero_gradients();
    std::vector<double> rows(count * element_count(flow_.description().shape));
    flow_.gather({task_.rows, indices, visit_of(batch)}, rows);
    std::vector<double> context(
        task_.contexts ? count * std::size_t(flow_.description().context.size) : 0);
    if (task_.contexts) flow_.gather({*task_.contexts, indices}, context);
    double loss = matching_->loss(
        flow_, {count, rows, context, noise_of(batch, part, shared), shared.share()}, part.weight);
    shared.sum(ReportNumbers{{&loss}, {}});
    shared.sum_gradients(flow_);
    record.loss += part.weight * loss;
    record.evaluations = record.backward_evaluations = 1;
    record.negative_log_prob = std::numeric_limits<double>::quiet_NaN();
  }

  void solve(const Batch& batch, const Part& part, FlowIteration& record) const {
    const SharedBatch shared(burst_.group, part.count);
    const std::size_t first = part.first + shared.first();
    SolveRequest solve;
    solve.batch = shared.count();
    solve.share = shared.share();
    const auto indices = batch.indices.subspan(first, solve.batch);
    solve.rows = {task_.rows, indices, visit_of(batch)};
    if (task_.contexts) solve.context = {*task_.contexts, indices};
    solve.noise = noise_of(batch, part, shared);
    solve.settings = burst_.settings;
    solve.training = true;
    solve.stop = burst_.stop_within();
    LossReport report = numbered_from(
        first,
        [&] {
          return ffjord::loss(flow_, solve, task_.weights, {}, {}, {part.weight, part.clears});
        },
        true);
    if (burst_.group) sum_report(shared, report);
    shared.sum_gradients(flow_);
    add(record, report, part.weight);
  }

  void sum_report(const SharedBatch& shared, LossReport& report) const {
    ReportNumbers numbers{{&report.negative_log_prob}, {}};
    for (double& mean : report.regularisers) numbers.means.push_back(&mean);
    for (double& count : report.block_evaluations) numbers.counts.push_back(&count);
    numbers.count(report.forward, report.backward);
    shared.sum(numbers);
    report.loss = report.negative_log_prob;
    for (std::size_t r = 0; r < report.regularisers.size(); ++r)
      report.loss += task_.weights[r] * report.regularisers[r];
  }

  void add(FlowIteration& record, const LossReport& report, double weight) const {
    record.loss += weight * report.loss;
    record.negative_log_prob += weight * report.negative_log_prob;
    ffjord::add(record.regularisers, report.regularisers, weight);
    ffjord::add(record.block_evaluations, report.block_evaluations, weight);
    record.count(report.forward, report.backward, weight);
  }

  // Adds those in the buffer, rounded as the flow computes.
  void add_gradients(std::vector<double>& sums) const {
    std::vector<double> values(flow_.layout().parameter_count);
    flow_.read(Buffer::Gradients, values);
    const bool float64 = flow_.epsilon() < 0x1p-30;
    sums.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      sums[i] += values[i];
      if (!float64) sums[i] = static_cast<float>(sums[i]);
    }
  }

  std::uint32_t visit_of(const Batch& batch) const {
    return task_.visits.empty() ? 0 : task_.visits[batch.number];
  }
  Noise noise_of(const Batch& batch, const Part& part, const SharedBatch& shared) const {
    Noise noise = batch.noise;
    noise.row_offset += static_cast<std::uint32_t>(part.first + shared.first());
    return noise;
  }

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
