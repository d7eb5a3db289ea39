// Pullbacks add to the gradients that are there, whichever they are.
#include "core/tableau.h"
#include "test/cuda/engine.h"
#include "test/native/flow_case.h"

namespace {

using namespace checks;
using namespace ffjord;

struct Pulled {
  Vector gradients;
  double evaluations;
};

Pulled gradients_after(Flow& flow, const SolveRequest& request, const Vector& before) {
  flow.write(Buffer::Gradients, before);
  const Solution solution = solve(flow, request);
  PullbackRequest pullback;
  const Vector ones(request.batch, 1.0);
  pullback.z_bar = solution.z;
  pullback.delta_logp_bar = ones;
  const double evaluations = flow.pullback(*solution.result.tape, pullback).evaluations;
  Vector gradients(before.size());
  flow.read(Buffer::Gradients, gradients);
  return {gradients, evaluations};
}

void check_method(Report& report, const Engine& engine, const std::string& name,
                  const GradientOptions& gradient, std::vector<Block> blocks) {
  const auto flow = engine.create({{2}, std::move(blocks)}, 5, {});
  std::mt19937_64 generator(1);
  const Vector rows = normals(6 * 2, generator);
  SolveRequest request;
  request.batch = 6;
  request.rows = rows;
  request.keep_tape = true;
  request.settings.solver.tableau = &tableau("dopri5");
  request.settings.gradient = gradient;
  const std::size_t count = flow->layout().parameter_count;
  const Pulled alone = gradients_after(*flow, request, Vector(count, 0.0));
  const Pulled added = gradients_after(*flow, request, Vector(count, 1e3));
  report.expect("gradients", largest(alone.gradients) > 0.01);
  report.expect("the adjoint's steps", added.evaluations == alone.evaluations);
  // float32 at 1000, rounded once for each of some dozens of sums.
  for (std::size_t i = 0; i < count; ++i)
    report.expect("parameter " + std::to_string(i),
                  std::abs(added.gradients[i] - 1e3 - alone.gradients[i]), 2e-3);
  report.finish(name);
}

}  // namespace

int main() {
  return with_cuda_engine([](const Engine& engine) {
    Report report;
    Cnf cnf;
    cnf.train_time = true;
    cnf.net.hidden = {8, 8};
    cnf.net.layer = LayerKind::ConcatSquash;
    Cnf spectral = cnf;
    spectral.net.spectral_norm = 2;
    check_method(report, engine, "checkpoint", {}, {cnf, BatchNorm{}, cnf});
    check_method(report, engine, "spectral norm", {}, {spectral, BatchNorm{}});
    check_method(report, engine, "adjoint, full norm", {GradientMethod::Adjoint, AdjointNorm::Full},
                 {cnf});
    check_method(report, engine, "adjoint, seminorm",
                 {GradientMethod::Adjoint, AdjointNorm::Seminorm}, {cnf});
    return int(report.failures() > 0);
  });
}
