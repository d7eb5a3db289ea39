// A solve's loop is recorded once, and serves the solves of its kind that follow. Each recording
// has a condition of its own, which the emulator counts.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"
#include "test/emulator/device.h"

namespace {

using namespace ffjord;
using checks::Report;

std::size_t recorded() { return emulator::device().conditions.size(); }

int check(const Engine& engine) {
  Report report;
  Cnf cnf;
  cnf.net.hidden = {9, 7};
  const auto flow = checks::perturbed_flow(engine, {{3}, {cnf, cnf}});
  std::mt19937_64 generator(1);
  SolveRequest request;
  request.settings.solver.tableau = &tableau("dopri5");
  request.settings.trace = {TraceMode::Hutchinson, NoiseLaw::Gaussian, 2, TraceForm::Tangent};
  const auto solve = [&](std::size_t batch, bool keep_tape) {
    request.batch = batch;
    request.keep_tape = keep_tape;
    const checks::Vector rows = checks::floats(checks::normals(batch * 3, generator));
    request.rows = rows;
    ++request.noise.call;
    const std::size_t before = recorded();
    if (keep_tape)
      checks::solve_and_pull(*flow, request);
    else
      checks::solve(*flow, request);
    return recorded() - before;
  };
  report.expect("the first solve records a loop a block", solve(37, true) == 2);
  checks::Vector parameters(flow->layout().parameter_count);
  for (int i = 0; i < 3; ++i) {
    report.expect("other rows, noise and weights", solve(37, true) == 0);
    flow->read(Buffer::Parameters, parameters);
    for (double& parameter : parameters) parameter *= 1.01;
    flow->write(Buffer::Parameters, parameters);
  }
  report.expect("without a tape, whose solves keep no steps", solve(37, false) == 2);
  report.expect("without one, a second time", solve(37, false) == 0);
  report.expect("another batch", solve(20, true) == 2);
  report.expect("the same batch, a second time", solve(20, true) == 0);
  request.settings.solver.rtol = 1e-3;
  report.expect("another tolerance", solve(20, true) == 2);
  report.finish("recorded loops");
  std::printf("%d failures\n", report.failures());
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check, checks::layer_by_layer()); }
