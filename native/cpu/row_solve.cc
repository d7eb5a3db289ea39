#include "cpu/row_solve.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cpu/row_places.h"

namespace ffjord::cpu {
namespace {

constexpr std::size_t kRowsNamed = 16;  // of those that made a solve fail

using Workers = std::vector<std::unique_ptr<RowPlaces>>;  // null: it had nothing to do

// The failure of the first row, with the names of the others.
void throw_failures(const Workers& workers) {
  RowFailures failures;
  for (const auto& worker : workers)
    if (worker) failures.insert(worker->failures().begin(), worker->failures().end());
  if (failures.empty()) return;
  SolveFailure failure = failures.begin()->second;
  for (const auto& [row, other] : failures)
    if (failure.rows.size() < kRowsNamed) failure.rows.push_back(row);
  throw failure;
}

std::vector<const StepLog*> logs_of(const Workers& workers) {
  std::vector<const StepLog*> logs;
  for (const auto& worker : workers)
    if (worker) logs.push_back(&worker->log());
  return logs;
}

}  // namespace

void solve_rows(const BlockCall& call, const BlockRows<float>& rows, std::span<const float> eps,
                const AlignedFloats& terms, RowSteps* tape,
                const BlockTrajectory<float>* trajectory, SolveStatistics& statistics) {
  const std::size_t batch_size = rows.count, channels = flow_channels(call).count;
  RowBatch batch{call, rows, eps, terms, trajectory};
  batch.ends.resize(batch_size * channels);
  batch.statistics.resize(batch_size);
  Workers workers(std::min<std::size_t>(call.team.size(), call.tiles.count()));
  call.team.run(workers.size(), [&](int number, std::size_t worker) {
    workers[worker] = std::make_unique<RowPlaces>(batch, number, tape != nullptr);
    workers[worker]->run();
  });
  throw_failures(workers);

  for (const SolveStatistics& one : batch.statistics)
    statistics.add(one, 1 / static_cast<double>(batch_size));
  if (tape) gather_steps(logs_of(workers), call.dimension, batch_size, *tape);
  for (std::size_t row = 0; row < batch_size; ++row) {
    const float* end = &batch.ends[row * channels];
    std::copy_n(end, call.dimension, &rows.z[row * call.dimension]);
    rows.delta_logp[row] = -end[call.dimension];
    std::copy_n(end + call.dimension + 1, call.regularisers(),
                rows.regularisers.data() + row * call.regularisers());
  }
}

}  // namespace ffjord::cpu
