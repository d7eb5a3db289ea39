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
      : flow_(flow), task_(task), burst_(burst), parts_(task.parts) {
    if (task.objective == Objective::FlowMatching) matching_.emplace(flow, task.coupling);
  }

  FlowIteration operator()(const Batch& batch) const {
    FlowIteration record;
    const std::size_t parts = record.parts = std::min(parts_, batch.least_rows());
    const bool coupled = matching_ && task_.coupling == Coupling::Optimal;
    // A group adds up each part by itself, as one process does.
    std::vector<double> gradients;
    for (std::size_t number = 0; number < parts; ++number) {
      const SharedBatch part(burst_.group, batch, number, parts, coupled ? kCoupledRows : 1);
      const bool clears = number == 0 || burst_.group;
      matching_ ? match(batch, part, clears, record) : solve(batch, part, clears, record);
      if (burst_.group && parts > 1) add_gradients(gradients);
    }
    if (!gradients.empty()) flow_.write(Buffer::Gradients, gradients);
    return record;
  }

  /// Where memory does not hold a part, this and all later batches are solved in twice as many.
  /// With batch norm that would be another flow, whose moments are those of a part.
  bool divides(const Error& error, const Batch& batch) {
    const std::size_t parts = std::min(parts_, batch.least_rows());
    const bool normalizes = std::ranges::any_of(flow_.description().blocks, [](const auto& block) {
      return std::holds_alternative<BatchNorm>(block);
    });
    if (normalizes || !wants_fewer_rows(error, batch.least_rows() / parts)) return false;
    parts_ = 2 * parts;
    return true;
  }

 private:
  // `clears`: the gradients of what went before.
  void match(const Batch& batch, const SharedBatch& part, bool clears,
             FlowIteration& record) const {
    const std::size_t count = part.count();
    if (clears) flow_.zero_gradients();
    const RowSource rows{task_.rows, part.indices(), visit_of(batch)};
    const RowSource context =
        task_.contexts ? RowSource{*task_.contexts, part.indices()} : RowSource();
    double loss =
        matching_->loss(flow_, {count, rows, context, part.noise(), part.share()}, part.weight());
    part.sum(ReportNumbers{{&loss}, {}});
    part.sum_gradients(flow_);
    record.loss += part.weight() * loss;
    record.evaluations = record.backward_evaluations = 1;
    record.negative_log_prob = std::numeric_limits<double>::quiet_NaN();
  }

  void solve(const Batch& batch, const SharedBatch& part, bool clears,
             FlowIteration& record) const {
    SolveRequest solve;
    solve.batch = part.count();
    solve.share = part.share();
    solve.rows = {task_.rows, part.indices(), visit_of(batch)};
    if (task_.contexts) solve.context = {*task_.contexts, part.indices()};
    solve.noise = part.noise();
    solve.settings = burst_.settings;
    solve.training = true;
    solve.stop = burst_.stop_within();
    LossReport report = numbered_from(
        part.first(),
        [&] {
          return ffjord::loss(flow_, solve, task_.weights, {}, {}, {part.weight(), clears});
        },
        true);
    if (burst_.group) sum_report(part, report);
    part.sum_gradients(flow_);
    add(record, report, part.weight());
  }

  void sum_report(const SharedBatch& part, LossReport& report) const {
    ReportNumbers numbers{{&report.negative_log_prob}, {}};
    for (double& mean : report.regularisers) numbers.means.push_back(&mean);
    for (double& count : report.block_evaluations) numbers.counts.push_back(&count);
    numbers.count(report.forward, report.backward);
    part.sum(numbers);
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

  Flow& flow_;
  const FlowTask& task_;
  const Burst& burst_;
  std::size_t parts_;
  std::optional<FlowMatching> matching_;
};

}  // namespace

std::vector<FlowIteration> train(Flow& flow, const FlowTask& task, const Burst& burst) {
  return run_burst<FlowIteration>(burst, flow, Objectives(flow, task, burst));
}

}  // namespace ffjord
