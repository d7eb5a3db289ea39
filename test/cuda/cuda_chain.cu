// Solves of small nets in registers (fused_chain_field.h) against float64: one Euler step is one
// evaluation, and errs at most twice as much as that of the float32 tiles. Solves of many steps
// take as many as layer by layer.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace checks;
using namespace ffjord;

// Rows of a tile (CudaOptions::fused): of registers, of float32, none at all.
constexpr int kChain = 64, kPlain = 4, kByLayer = 0;

// Products of few terms err as their operands do, which have 22 bits, in each of three layers.
constexpr double kOfOperands = 3 * 0x1p-23;

Engine engine_with(int fused) {
  cuda::CudaOptions options = cuda::process_cuda_options();
  options.products = cuda::CudaOptions::Products::Half3;
  options.fused = fused;
  return cuda_engine(options);
}

Solution solve_by(const Engine& engine, const FlowDescription& description,
                  const SolveRequest& request) {
  const auto flow = perturbed_flow(engine, description);
  return solve(*flow, request);
}

/// RMS of the difference over the RMS of what is expected.
double error_of(const Vector& found, const Vector& expected) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error += (found[i] - expected[i]) * (found[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(error / size);
}

struct Case {
  LayerKind layer;
  Activation activation;
  std::size_t dimension = 2;
  double rows = 1, eps = 1;  ///< how large
  bool exact = false;
};

SolveRequest request_of(const Case& one, std::size_t batch, const Vector& rows, const Vector& eps) {
  SolveRequest request;
  request.batch = batch;
  request.rows = rows;
  request.settings.trace.mode = one.exact ? TraceMode::Exact : TraceMode::Hutchinson;
  if (!one.exact) request.noise.given = {eps};
  return request;
}

Cnf cnf_of(const Case& one, std::vector<int> hidden) {
  Cnf cnf;
  cnf.time = 1;
  cnf.net.hidden = std::move(hidden);
  cnf.net.layer = one.layer;
  cnf.net.activation = one.activation;
  return cnf;
}

void check_evaluations(Report& report, const Case& one) {
  for (const int width : {5, 16, 33, 64}) {
    const std::string name = std::string(name_of(one.activation)) + ", " + std::to_string(width);
    const FlowDescription description{{static_cast<int>(one.dimension)},
                                      {cnf_of(one, {width, width})}};
    std::mt19937_64 generator(static_cast<unsigned>(width));
    constexpr std::size_t batch = 75;
    const Vector rows = floats(normals(batch * one.dimension, generator, one.rows));
    const Vector eps = floats(normals(batch * one.dimension, generator, one.eps));
    SolveRequest request = request_of(one, batch, rows, eps);
    request.settings.solver.tableau = &tableau("euler");
    request.settings.solver.steps = 1;
    const Solution expected = solve_by(reference::engine(), description, request);
    const Solution chain = solve_by(engine_with(kChain), description, request);
    const Solution plain = solve_by(engine_with(kPlain), description, request);
    const auto expect = [&](const std::string& what, const Vector Solution::*part) {
      const double plain_error = error_of(plain.*part, expected.*part);
      report.expect(name + ": " + what, error_of(chain.*part, expected.*part),
                    std::max(kOfOperands, 2 * plain_error));
    };
    expect("z", &Solution::z);
    expect("delta_logp", &Solution::delta_logp);
  }
  report.finish(std::string(name_of(one.layer)) + ", " + std::string(name_of(one.activation)));
}

void check_steps(Report& report, Control control) {
  const Case one{LayerKind::ConcatSquash, Activation::Tanh};
  const FlowDescription description{{2}, {cnf_of(one, {12, 12})}};
  std::mt19937_64 generator(1);
  for (const std::size_t batch : {17, 130}) {
    const Vector rows = floats(normals(batch * 2, generator)),
                 eps = floats(normals(batch * 2, generator));
    SolveRequest request = request_of(one, batch, rows, eps);
    request.settings.solver.tableau = &tableau("dopri5");
    request.settings.solver.control = control;
    const Solution expected = solve_by(engine_with(kByLayer), description, request);
    const Solution chain = solve_by(engine_with(kChain), description, request);
    const SolveStatistics &ours = chain.result.statistics, &theirs = expected.result.statistics;
    report.expect("attempts", ours.accepted == theirs.accepted && ours.rejected == theirs.rejected);
    report.expect("z", relative_error(chain.z, expected.z, 1), 1e-5);
    report.expect("delta_logp", relative_error(chain.delta_logp, expected.delta_logp, 1), 1e-5);
  }
  report.finish(control == Control::Tile ? "tiles by themselves" : "a batch");
}

}  // namespace

int main() {
  return with_cuda_engine([](const Engine&) {
    Report report;
    for (const Case& one : {Case{LayerKind::Ignore, Activation::Tanh},
                            Case{LayerKind::Concat, Activation::Softplus, 5},
                            Case{LayerKind::ConcatV2, Activation::Relu, 3},
                            Case{LayerKind::Squash, Activation::Elu, 17},
                            Case{LayerKind::ConcatSquash, Activation::Square},
                            Case{LayerKind::ConcatSquash, Activation::Tanh, 2, 1, 1, true},
                            Case{LayerKind::Concat, Activation::Relu, 6, 1e6, 1},
                            Case{LayerKind::Concat, Activation::Softplus, 6, 1e6, 1e-9},
                            Case{LayerKind::Concat, Activation::Tanh, 6, 1, 1e-9}})
      check_evaluations(report, one);
    check_steps(report, Control::Batch);
    check_steps(report, Control::Tile);
    return int(report.failures() > 0);
  });
}
