// Solves of small nets by fragments (fused_fragment_field.h) against float64: one Euler step is one
// evaluation, and errs at most twice as much as that of the float32 tiles. Solves of many steps
// take as many as layer by layer, and rows that step by themselves do not know of each other.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace checks;
using namespace ffjord;

// CudaOptions::fused: tiles of few and of many rows by fragments, those of float32, none at all.
constexpr int kFewRows = 16, kManyRows = 32, kPlain = 4, kByLayer = 0;

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
  int probes = 1;
};

SolveRequest request_of(const Case& one, std::size_t batch, const Vector& rows, const Vector& eps) {
  SolveRequest request;
  request.batch = batch;
  request.rows = rows;
  request.settings.trace.mode = one.exact ? TraceMode::Exact : TraceMode::Hutchinson;
  request.settings.trace.probes = one.probes;
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
  for (const int width : {5, 33, 64, 100}) {
    const std::string name = std::string(name_of(one.activation)) + ", " + std::to_string(width);
    const FlowDescription description{{static_cast<int>(one.dimension)},
                                      {cnf_of(one, {width, width})}};
    std::mt19937_64 generator(static_cast<unsigned>(width));
    constexpr std::size_t batch = 75;
    const Vector rows = floats(normals(batch * one.dimension, generator, one.rows));
    const Vector eps = floats(normals(one.probes * batch * one.dimension, generator, one.eps));
    SolveRequest request = request_of(one, batch, rows, eps);
    request.settings.solver.tableau = &tableau("euler");
    request.settings.solver.steps = 1;
    const Solution expected = solve_by(reference::engine(), description, request);
    const Solution plain = solve_by(engine_with(kPlain), description, request);
    for (const int fused : {kFewRows, kManyRows}) {
      const Solution found = solve_by(engine_with(fused), description, request);
      const auto expect = [&](const std::string& what, const Vector Solution::*part) {
        const double plain_error = error_of(plain.*part, expected.*part);
        report.expect(name + ": " + what, error_of(found.*part, expected.*part),
                      std::max(kOfOperands, 2 * plain_error));
      };
      expect("z", &Solution::z);
      expect("delta_logp", &Solution::delta_logp);
    }
  }
  report.finish(std::string(name_of(one.layer)) + ", " + std::string(name_of(one.activation)));
}

/// Cotangents of the rows, or of all parameters.
Vector cotangents(const Results& results, bool of_rows) {
  Vector all;
  for (const Results::Part& part : results.parts)
    if (part.name.starts_with("∂") && (part.name == "∂ rows") == of_rows)
      all.insert(all.end(), part.values.begin(), part.values.end());
  return all;
}

void check_gradients(Report& report, const Case& one) {
  for (const int width : {5, 40, 64, 100}) {
    Cnf cnf = cnf_of(one, {width, 12, width});
    cnf.train_time = true;
    const FlowDescription description{{static_cast<int>(one.dimension)}, {cnf}};
    std::mt19937_64 generator(static_cast<unsigned>(width));
    constexpr std::size_t batch = 19;
    const Vector rows = floats(normals(batch * one.dimension, generator, one.rows));
    const Vector eps = floats(normals(one.probes * batch * one.dimension, generator, one.eps));
    SolveRequest request = request_of(one, batch, rows, eps);
    request.keep_tape = true;
    request.settings.solver.tableau = &tableau("midpoint");
    request.settings.solver.steps = 2;
    const auto pulled_by = [&](const Engine& engine) {
      return solve_and_pull(*perturbed_flow(engine, description), request);
    };
    const Results expected = pulled_by(reference::engine());
    const Results plain = pulled_by(engine_with(kPlain)), found = pulled_by(engine_with(kFewRows));
    for (const bool of_rows : {true, false}) {
      const Vector exact = cotangents(expected, of_rows);
      report.expect(std::to_string(width) + (of_rows ? ": ∂ rows" : ": ∂ parameters"),
                    error_of(cotangents(found, of_rows), exact),
                    std::max(4 * kOfOperands, 2 * error_of(cotangents(plain, of_rows), exact)));
    }
  }
  report.finish("gradients, " + std::string(name_of(one.layer)) + ", " +
                std::string(name_of(one.activation)));
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
    for (const int fused : {kFewRows, kManyRows}) {
      const Solution found = solve_by(engine_with(fused), description, request);
      const SolveStatistics &ours = found.result.statistics, &theirs = expected.result.statistics;
      report.expect("attempts",
                    ours.accepted == theirs.accepted && ours.rejected == theirs.rejected);
      report.expect("z", relative_error(found.z, expected.z, 1), 1e-5);
      report.expect("delta_logp", relative_error(found.delta_logp, expected.delta_logp, 1), 1e-5);
    }
  }
  report.finish(control == Control::Tile ? "tiles by themselves" : "a batch");
}

// The last rows of a batch, alone and behind others: the same bits.
void check_rows(Report& report) {
  const Case one{LayerKind::ConcatSquash, Activation::Softplus, 3};
  const FlowDescription description{{3}, {cnf_of(one, {40, 12})}};
  std::mt19937_64 generator(1);
  constexpr std::size_t batch = 21, last = 5;
  const Vector rows = floats(normals(batch * 3, generator)),
               eps = floats(normals(batch * 3, generator));
  const auto solution_of_last = [&](std::size_t count) {
    const Vector some(rows.end() - count * 3, rows.end());
    const Vector some_eps(eps.end() - count * 3, eps.end());
    SolveRequest request = request_of(one, count, some, some_eps);
    request.settings.solver.tableau = &tableau("dopri5");
    request.settings.solver.control = Control::Sample;
    Solution solution = solve_by(engine_with(kFewRows), description, request);
    solution.z.erase(solution.z.begin(), solution.z.end() - last * 3);
    solution.delta_logp.erase(solution.delta_logp.begin(), solution.delta_logp.end() - last);
    return solution;
  };
  const Solution alone = solution_of_last(last), among = solution_of_last(batch);
  report.expect("z", alone.z == among.z);
  report.expect("delta_logp", alone.delta_logp == among.delta_logp);
  report.finish("rows by themselves");
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
                            Case{LayerKind::ConcatSquash, Activation::Tanh, 3, 1, 1, true},
                            Case{LayerKind::ConcatV2, Activation::Softplus, 7, 1, 1, false, 2},
                            Case{LayerKind::Squash, Activation::Tanh, 2, 1, 1, false, 3},
                            Case{LayerKind::Concat, Activation::Relu, 6, 1e6, 1},
                            Case{LayerKind::Concat, Activation::Softplus, 6, 1e6, 1e-9},
                            Case{LayerKind::Concat, Activation::Tanh, 6, 1, 1e-9}})
      check_evaluations(report, one);
    for (const Case& one : {Case{LayerKind::Concat, Activation::Tanh},
                            Case{LayerKind::ConcatSquash, Activation::Softplus, 5},
                            Case{LayerKind::Squash, Activation::Square, 3, 0.3, 1, true},
                            Case{LayerKind::ConcatV2, Activation::Tanh, 17, 1, 1, false, 2},
                            Case{LayerKind::ConcatSquash, Activation::Tanh, 2, 1, 1, false, 3},
                            Case{LayerKind::Concat, Activation::Softplus, 6, 1e6, 1e-9}})
      check_gradients(report, one);
    check_steps(report, Control::Batch);
    check_steps(report, Control::Tile);
    check_rows(report);
    return int(report.failures() > 0);
  });
}
