// Gradients from evaluations that a solve kept have the bits of those that are made again: all of
// them kept, some, and none; for every form of net and every way of stepping that keeps any.
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/flow_layout.h"
#include "core/tableau.h"
#include "cpu/checkpoint.h"
#include "cpu/flow_solve.h"
#include "flow_case.h"

namespace {

using namespace ffjord;
using Numbers = std::vector<float>;

constexpr std::size_t kBatch = 75;  // of two tiles of 32 rows and a ragged one
/// All that a solve and two pullbacks of it give.
struct Found {
  Numbers z, delta_logp, bars, gradients, context_bar, again;
  std::vector<double> end_time;
  double evaluations = 0;
  bool operator==(const Found&) const = default;
};

/// Stages of accepted steps, and those of them that were kept.
struct Counted {
  std::size_t stages = 0, kept = 0;
};

struct Problem {
  std::string name;
  FlowDescription description;
  TraceOptions trace;
  SolverOptions solver;
  Regularisers regularisers = {};
  bool reverse = false;
};

Numbers draw(std::size_t count, std::uint64_t seed, float scale = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, scale);
  Numbers numbers(count);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

Found solve_and_pull(const Problem& problem, std::uint64_t keeps, int threads, Counted& counted) {
  const FlowLayout layout(problem.description);
  const BlockOffsets& offsets = layout.blocks[0];
  const NetPlan& plan = offsets.net;
  const std::size_t size = plan.size_in(), contexts = plan.context_size;
  const Numbers parameters = draw(layout.parameter_count, 1, 0.15f);
  const auto net = cpu::make_tile_net(cpu::instruction_sets().front(), {offsets, parameters});
  const TracePlan trace = plan_trace(plan, problem.trace, problem.regularisers);
  cpu::Workspace workspace(*net, trace, problem.regularisers);
  cpu::Team team(threads);
  workspace.reserve_workers(team.size());
  BlockPlan block;
  block.solver = problem.solver;
  block.trace = trace;
  block.regularisers = problem.regularisers;
  block.sqrt_end_time = 1;
  const cpu::BlockCall call{*net, workspace,       team, block, {kBatch, net->rows()},
                            size, problem.reverse, 1.0,  keeps, false};
  Found found;
  found.z = draw(kBatch * size, 2);
  found.delta_logp.assign(kBatch, 0);
  Numbers regularisers(kBatch * problem.regularisers.count());
  const Numbers context = draw(kBatch * contexts, 3, 0.2f);
  const Numbers eps = draw(kBatch * trace.noise_size(size) * std::max(trace.probes, 0), 4);
  SolveStatistics statistics;
  const auto tape =
      cpu::solve_flow(call, {kBatch, found.z, found.delta_logp, regularisers, context}, eps, true,
                      nullptr, statistics);
  for (std::size_t tile = 0; tape->kept && tile < call.tiles.count(); ++tile)
    for (std::size_t step = 0; step < tape->steps[tape->steps.size() > 1 ? tile : 0].size(); ++step)
      for (const auto& stage : tape->kept_stages(tile, step)) {
        ++counted.stages;
        counted.kept += stage != nullptr;
      }
  const auto pull = [&](Numbers& bars, Numbers& gradients, Numbers& context_bar) {
    bars = draw(kBatch * size, 5);
    Numbers delta_logp_bar = draw(kBatch, 6), regularisers_bar = draw(regularisers.size(), 7);
    gradients.assign(layout.parameter_count, 0);
    context_bar.assign(kBatch * contexts, 0);
    found.end_time = cpu::pull_checkpoints(
        call, *tape, layout.parameter_count,
        {kBatch, bars, delta_logp_bar, regularisers_bar, context, context_bar}, gradients,
        statistics);
  };
  pull(found.bars, found.gradients, found.context_bar);
  Numbers bars, context_bar;
  pull(bars, found.again, context_bar);
  found.evaluations = statistics.evaluations;
  return found;
}

void check(const Problem& problem, checks::Report& report) {
  for (int threads : {1, 2}) {
    Counted none, few, all;
    const Found made_again = solve_and_pull(problem, 0, threads, none);
    report.expect(problem.name + ": gradients",
                  made_again.gradients != Numbers(made_again.gradients.size()));
    report.expect(problem.name + ": twice", made_again.gradients == made_again.again);
    // FFJORD_MEMORY refuses what is beyond.
    report.expect(problem.name + ": few are kept",
                  solve_and_pull(problem, 40'000, threads, few) == made_again);
    report.expect(problem.name + ": all are kept",
                  solve_and_pull(problem, std::uint64_t{1} << 30, threads, all) == made_again);
    report.expect(problem.name + ": as many as there is memory for",
                  none.kept == 0 && few.kept > 0 && few.kept < few.stages && all.stages > 0 &&
                      all.kept == all.stages);
  }
}

SolverOptions solver(const std::string& method, Control control = Control::Batch,
                     Controller controller = Controller::Pi) {
  SolverOptions options;
  options.tableau = &tableau(method);
  options.rtol = options.atol = 1e-3;
  options.steps = 3;
  options.control = control;
  options.controller = controller;
  return options;
}

FlowDescription dense(LayerKind layer, Activation activation, std::vector<int> hidden) {
  Cnf cnf;
  cnf.net.hidden = std::move(hidden);
  cnf.net.layer = layer;
  cnf.net.activation = activation;
  return {{3}, {cnf}};
}

FlowDescription conditional(Conditioning context) {
  FlowDescription flow = dense(context.amortised ? LayerKind::Concat : LayerKind::ConcatSquash,
                               Activation::Softplus, {24, 20});
  if (context.amortised)
    context.size = amortised_size(std::get<Cnf>(flow.blocks[0]).net, 3, context.rank);
  flow.context = context;
  return flow;
}

FlowDescription convolutional() {
  Cnf cnf;
  cnf.net.hidden = {5};
  cnf.net.convolutions.assign(2, {.kernel = {3, 3}, .padding = 1});
  return {{2, 4, 4}, {cnf}};
}

}  // namespace

int main() {
  setenv("FFJORD_MEMORY", "1", 1);
  checks::Report report;
  const TraceOptions probes{.mode = TraceMode::Hutchinson, .probes = 2};
  const TraceOptions exact{.mode = TraceMode::Exact};
  const SolverOptions dopri5 = solver("dopri5");
  for (LayerKind layer :
       {LayerKind::Concat, LayerKind::ConcatSquash, LayerKind::Hyper, LayerKind::Blend})
    check(
        {std::string(name_of(layer)), dense(layer, Activation::Softplus, {24, 20}), probes, dopri5},
        report);
  check({"swish", dense(LayerKind::Concat, Activation::Swish, {24, 20, 24}), probes, dopri5},
        report);
  check({"closed, one hidden layer", dense(LayerKind::ConcatSquash, Activation::Tanh, {24}), exact,
         dopri5},
        report);
  check({"closed, two hidden layers", dense(LayerKind::Concat, Activation::Softplus, {24, 20}),
         exact, dopri5},
        report);
  check({"regularisers, reverse",
         dense(LayerKind::ConcatSquash, Activation::Softplus, {24, 20}),
         probes,
         dopri5,
         {"kinetic", "jacobian"},
         true},
        report);
  check({"context", conditional({.size = 2, .gates = true}), probes, dopri5}, report);
  check({"low rank", conditional({.amortised = true, .rank = 2}), probes, dopri5}, report);
  FlowDescription residual = dense(LayerKind::Concat, Activation::Tanh, {24, 20});
  std::get<Cnf>(residual.blocks[0]).net.residual = true;
  check({"residual", residual, probes, dopri5}, report);
  const TraceOptions narrow{.mode = TraceMode::Hutchinson, .probes = 2, .bottleneck = true};
  check({"bottleneck", dense(LayerKind::Concat, Activation::Tanh, {24, 2, 24}), narrow, dopri5},
        report);
  check({"convolutions, lattices", convolutional(), exact, dopri5}, report);
  check({"convolutions", convolutional(), probes, dopri5}, report);
  report.finish("nets");
  const FlowDescription plain = dense(LayerKind::Concat, Activation::Softplus, {24, 20});
  for (const char* method : {"bosh3", "dopri8", "rk4", "euler"})
    check({method, plain, probes, solver(method)}, report);
  check({"a step a tile", plain, probes, solver("dopri5", Control::Tile)}, report);
  check({"torchdiffeq's control", plain, probes,
         solver("dopri5", Control::Batch, Controller::Torchdiffeq)},
        report);
  report.finish("solvers");
  return report.failures() > 0;
}
