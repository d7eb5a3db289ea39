// Regularisers of the CUDA engine, their values and every gradient, against the reference engine.
#include "core/regularisers.h"
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kBatch = 37;  // of which no tile is full
constexpr double kTolerance = 1e-5;

FlowDescription description_of(LayerKind layer, const std::vector<int>& hidden, bool residual,
                               int size = 5) {
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net.hidden = hidden;
  cnf.net.layer = layer;
  cnf.net.residual = residual;
  return {{size}, {cnf}};
}

SolveRequest request_of(const Regularisers& regularisers) {
  SolveRequest request;
  request.batch = kBatch;
  request.keep_tape = true;
  request.settings.regularisers = regularisers;
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = 2;
  return request;
}

Regularisers all_regularisers() {
  Regularisers all;
  for (const Regulariser& one : regulariser_table()) all.add(one.name);
  return all;
}

std::unique_ptr<Flow> still(const Engine& engine, const FlowDescription& description) {
  auto flow = engine.create(description, 1, {});
  Vector parameters(flow->layout().parameter_count);
  parameters[flow->layout().blocks[0].sqrt_end_time] = 0.5;
  flow->write(Buffer::Parameters, parameters);
  return flow;
}

int check(const Engine& engine) {
  Report report;
  std::mt19937_64 generator(1);
  const Vector rows = checks::floats(checks::normals(kBatch * 5, generator));
  const auto compare = [&](const std::string& name, const FlowDescription& description,
                           SolveRequest request) {
    const Vector used(rows.begin(), rows.begin() + kBatch * description.shape[0]);
    request.rows = used;
    const auto ours = checks::perturbed_flow(engine, description);
    const auto exact = checks::perturbed_flow(reference::engine(), description);
    checks::expect_equal(name, checks::solve_and_pull(*ours, request),
                         checks::solve_and_pull(*exact, request), kTolerance, report);
  };
  for (int size : {3, 5})  // in one launch, and layer by layer
    for (const Regulariser& one : regulariser_table())
      compare(std::string(one.name), description_of(LayerKind::ConcatSquash, {9, 7}, false, size),
              request_of({one.name}));
  for (bool residual : {false, true})
    for (LayerKind layer : {LayerKind::Concat, LayerKind::Blend, LayerKind::Hyper})
      compare(std::string(name_of(layer)) + (residual ? " residual" : ""),
              description_of(layer, {8}, residual), request_of(all_regularisers()));

  const FlowDescription gated = description_of(LayerKind::ConcatSquash, {9, 7}, false);
  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    SolveRequest request = request_of(all_regularisers());
    request.direction = direction;
    request.settings.gradient = {GradientMethod::Adjoint, AdjointNorm::Seminorm};
    compare("adjoint", gated, request);
    request.settings.gradient = {};
    for (Control control : {Control::Tile, Control::Sample}) {
      request.settings.solver.control = control;
      compare(control == Control::Tile ? "tiles" : "single rows", gated, request);
    }
  }
  SolveRequest probes = request_of({"kinetic", "jacobian", "l1int", "l2int"});
  probes.settings.trace = {TraceMode::Hutchinson, NoiseLaw::Gaussian, 2, TraceForm::Tangent};
  compare("probes", gated, probes);
  report.finish("regularisers");

  // Where f and J are 0, so are the derivatives of their norms.
  const auto ours = still(engine, gated), exact = still(reference::engine(), gated);
  SolveRequest request = request_of(all_regularisers());
  request.rows = rows;
  checks::expect_equal("still", checks::solve_and_pull(*ours, request),
                       checks::solve_and_pull(*exact, request), kTolerance, report);
  report.finish("regularisers of a flow that stands still");
  std::printf("%d failures\n", report.failures());
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check); }
