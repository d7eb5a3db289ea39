// Bursts of training by several ranks, which are threads: steps that all take together come to the
// bits and evaluations of one process, fail on all by the reason of one; ranks that each have a
// part of the rows train as one that has them all; weights or statistics that drift apart are
// found.
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/flow_training.h"
#include "core/group.h"
#include "core/tableau.h"
#include "cpu/cpu_engine.h"
#include "flow_case.h"
#include "reference/reference_engine.h"
#include "thread_ranks.h"

namespace {

using namespace ffjord;
using namespace checks;

constexpr std::size_t kSize = 2, kRows = 300;

Cnf cnf(std::vector<int> hidden, LayerKind layer, Activation activation = Activation::Tanh) {
  Cnf cnf;
  cnf.train_time = true;
  cnf.net.hidden = std::move(hidden);
  cnf.net.layer = layer;
  cnf.net.activation = activation;
  return cnf;
}

struct Training {
  const Engine engine;
  std::vector<Block> blocks{cnf({6, 5}, LayerKind::ConcatSquash)};
  Settings settings = shared_settings();
  std::vector<double> rows = waves();
  std::size_t iterations = 3;
  std::uint32_t first_call = 0;
  std::size_t parts = 1;
  /// Rows of each rank, where these are all that it has; none: all ranks have all.
  std::vector<std::size_t> shards = {};
  /// What a rank changes in its flow before it trains.
  std::function<void(Flow&, int rank)> change = [](Flow&, int) {};

  static Settings shared_settings() {
    Settings settings;
    settings.solver.tableau = &tableau("dopri5");
    settings.solver.rtol = settings.solver.atol = 1e-4;
    settings.solver.shared = true;
    settings.trace.mode = TraceMode::Exact;
    return settings;
  }
  static std::vector<double> waves() {
    std::vector<double> rows;
    for (std::size_t i = 0; i < kRows * kSize; ++i) rows.push_back(std::sin(1 + 12.9898 * i));
    return rows;
  }
};

// What a rank ends with.
struct Outcome {
  std::vector<double> losses, evaluations, weights;
  int code = -1;
  std::string message;
};

Outcome train_here(const Training& one, int rank, Group* group) {
  const auto flow = one.engine.create({{kSize}, one.blocks}, 7, {1});
  one.change(*flow, rank);
  const bool sharded = group && !one.shards.empty();
  std::size_t first = 0, count = kRows;
  if (sharded) {
    first = std::accumulate(one.shards.begin(), one.shards.begin() + rank, std::size_t{0});
    count = one.shards[rank];
  }
  std::vector<std::uint32_t> indices, sizes;
  std::vector<double> rates;
  for (std::size_t i = 0; i < one.iterations; ++i) {
    for (std::uint32_t row = 0; row < count; ++row) indices.push_back(row);
    sizes.push_back(static_cast<std::uint32_t>(count));
    rates.push_back(0.01);
  }
  const std::span<const double> rows = one.rows;
  const auto data = flow->upload(count, rows.subspan(first * kSize, count * kSize));
  Burst burst;
  burst.indices = indices;
  burst.batch_sizes = sizes;
  burst.learning_rates = rates;
  burst.settings = one.settings;
  burst.first_call = one.first_call;
  burst.seconds = HUGE_VAL;
  burst.group = group;
  burst.sharded = sharded;
  Outcome outcome;
  try {
    FlowTask task{
        Objective::MaximumLikelihood, Coupling::Independent, one.parts, *data, nullptr, {}, {}};
    task.weights = RegulariserWeights(one.settings.regularisers.count(), 0.1);
    for (const FlowIteration& done : train(*flow, task, burst)) {
      outcome.losses.push_back(done.loss);
      outcome.evaluations.push_back(done.evaluations);
      outcome.evaluations.push_back(done.backward_evaluations);
    }
  } catch (const Error& error) {
    outcome.code = int(error.code);
    outcome.message = error.what();
  }
  outcome.weights.resize(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, outcome.weights);
  return outcome;
}

std::vector<Outcome> train_together(const Training& one, int size) {
  std::vector<Outcome> outcomes(size);
  run_ranks(size, [&](int rank, std::unique_ptr<Communicator> communicator) {
    Group group(std::move(communicator));
    outcomes[rank] = train_here(one, rank, &group);
  });
  return outcomes;
}

void check_shared_steps(Report& report) {
  const auto expect = [&](const std::string& name, const Training& training, bool same_bits) {
    const Outcome alone = train_here(training, 0, nullptr);
    report.expect(name + " trains", alone.losses.size() == training.iterations);
    for (const int size : {2, 3, 4, 8}) {
      const std::string title = name + ", " + std::to_string(size) + " ranks: ";
      for (const Outcome& one : train_together(training, size)) {
        if (!one.message.empty()) std::printf("%s%s\n", title.c_str(), one.message.c_str());
        report.expect(title + "evaluations of one process",
                      relative_error(one.evaluations, alone.evaluations, 1), 1e-12);
        // Of 3 ranks the sums are other trees.
        if (same_bits && size != 3)
          report.expect(title + "its bits",
                        one.losses == alone.losses && one.weights == alone.weights);
        else
          report.expect(title + "nearly its weights", relative_error(one.weights, alone.weights, 1),
                        1e-4);
      }
    }
  };
  for (const Engine& engine : {cpu::engine(), reference::engine()}) {
    const bool bits = engine.name == "cpu";
    Training training{engine};
    expect(engine.name, training, bits);
    training.blocks = {BatchNorm{0.2}, cnf({6}, LayerKind::Concat)};
    training.settings.regularisers = {"kinetic"};
    expect(engine.name + ", batch norm", training, bits);
    training.settings.regularisers = {};
    training.blocks = {cnf({6, 5}, LayerKind::ConcatSquash)};
    training.settings.gradient = {GradientMethod::Adjoint, AdjointNorm::Seminorm};
    // Its gradients are added up step by step.
    expect(engine.name + ", adjoint", training, false);
    training.settings.gradient = {};
    training.settings.solver.tableau = &tableau("rk4");
    training.settings.solver.steps = 3;
    expect(engine.name + ", steps of a fixed size", training, bits);
  }
  report.finish("steps that ranks take together");
}

// One row of the last rank makes the state of all infinite.
void check_failures(Report& report) {
  for (const Engine& engine : {cpu::engine(), reference::engine()}) {
    Training training{engine};
    training.blocks = {cnf({6}, LayerKind::Concat, Activation::Softplus)};
    training.rows[(kRows - 3) * kSize] = HUGE_VAL;
    training.settings.solver.max_attempts = 50;
    const std::vector<Outcome> outcomes = train_together(training, 4);
    for (const Outcome& one : outcomes) {
      report.expect(engine.name + ": a failure is that of all",
                    one.code == int(ErrorCode::SolveFailed) && one.losses.empty() &&
                        one.weights == outcomes[0].weights);
      report.expect(engine.name + ": and says on which rank",
                    has(one.message, "on rank 3") == (&one != &outcomes[3]));
      if (!has(one.message, "on rank 3")) std::printf("%s\n", one.message.c_str());
    }
    training.settings.gradient = {GradientMethod::Adjoint, AdjointNorm::Full};
    for (const Outcome& one : train_together(training, 2))
      report.expect(engine.name + ": a norm that is not summed is refused",
                    one.code == int(ErrorCode::Unsupported) && has(one.message, "seminorm"));
  }
  report.finish("which fail together");
}

// Of several ranks the rows of a batch are those of the first, then of the next; so are their
// draws.
void check_shards(Report& report) {
  for (const Engine& engine : {cpu::engine(), reference::engine()}) {
    Training training{engine};
    training.blocks.insert(training.blocks.begin(), BatchNorm{0.2});
    training.shards = {100, 131, 69};
    for (const auto& [control, shared] :
         {std::pair{Control::Sample, false}, {Control::Batch, true}})
      for (const std::size_t parts : {1, 2}) {
        training.settings.solver.control = control;
        training.settings.solver.shared = shared;
        training.parts = parts;
        // Parts of a batch have other rows, and so other draws and moments.
        training.settings.trace.mode = parts == 1 ? TraceMode::Hutchinson : TraceMode::Exact;
        if (parts == 2) training.blocks = {cnf({6, 5}, LayerKind::ConcatSquash)};
        const Outcome alone = train_here(training, 0, nullptr);
        for (const Outcome& one : train_together(training, 3)) {
          const std::string title = engine.name + ", " + std::to_string(parts) + " parts: ";
          if (!one.message.empty()) std::printf("%s%s\n", title.c_str(), one.message.c_str());
          report.expect(title + "losses", relative_error(one.losses, alone.losses, 1), 1e-4);
          report.expect(title + "weights", relative_error(one.weights, alone.weights, 1), 1e-4);
        }
      }
    training.shards = {300, 1};
    training.parts = 4;
    const std::vector<Outcome> uneven = train_together(training, 2);
    report.expect(
        engine.name + ": a rank with a row of a batch in parts",
        uneven[0].losses.size() == training.iterations && uneven[0].weights == uneven[1].weights);
  }
  report.finish("ranks that have rows of their own");
}

void check_drift(Report& report) {
  const auto expect = [&](Buffer buffer, const std::string& what) {
    Training training{reference::engine()};
    training.blocks.insert(training.blocks.begin(), BatchNorm{0.1});
    training.settings.solver.shared = false;
    training.settings.solver.control = Control::Sample;
    training.iterations = 1;
    training.first_call = kComparedIterations - 1;
    const auto message_of = [&](double difference) {
      training.change = [=](Flow& flow, int rank) {
        std::vector<double> values(buffer == Buffer::Statistics ? flow.layout().buffer_count
                                                                : flow.layout().parameter_count);
        flow.read(buffer, values);
        if (rank == 1) values[1] += difference;
        flow.write(buffer, std::as_const(values));
      };
      return train_together(training, 2);
    };
    for (const Outcome& one : message_of(0))
      report.expect("ranks with the same " + what, one.message.empty());
    for (const Outcome& one : message_of(1e-3)) {
      const bool found =
          one.code == int(ErrorCode::InvalidArgument) && has(one.message, "differ in " + what);
      report.expect(what + " that drift apart are found", found);
      if (!found) std::printf("%s\n", one.message.c_str());
    }
  };
  expect(Buffer::Parameters, "their weights");
  expect(Buffer::Statistics, "the statistics of batch or spectral norm");
  report.finish("ranks that drift apart");
}

}  // namespace

int main() {
  Report report;
  check_shared_steps(report);
  check_failures(report);
  check_shards(report);
  check_drift(report);
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
