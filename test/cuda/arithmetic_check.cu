// What each arithmetic of large products makes of a wide net: errors of evaluations, of solves and
// of their gradients against the float64 reference engine, at most twice those of float32.
#include <cstdlib>

#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Results;

constexpr std::size_t kBatch = 64, kSize = 40;

/// Errors of evaluations and of their gradients: those of a tensor relative to its size, in the
/// quadratic mean over all entries.
struct Errors {
  double squares[2] = {}, entries[2] = {};  ///< [of gradients]

  double evaluation() const { return std::sqrt(squares[0] / entries[0]); }
  double gradients() const { return std::sqrt(squares[1] / entries[1]); }
  void add(const Results& found, const Results& exact) {
    for (std::size_t p = 0; p < exact.parts.size(); ++p) {
      const checks::Vector& values = exact.parts[p].values;
      const double size = checks::dot(values, values);
      if (size == 0) continue;
      checks::Vector difference = found.parts[p].values;
      for (std::size_t i = 0; i < values.size(); ++i) difference[i] -= values[i];
      const auto count = static_cast<double>(values.size());
      const bool gradient = exact.parts[p].name.starts_with("∂");
      squares[gradient] += count * checks::dot(difference, difference) / size;
      entries[gradient] += count;
    }
  }
};

constexpr const char* kNames[] = {"float32", "fp16x3"};

void take_products(const char* name) { setenv("FFJORD_CUDA_PRODUCTS", name, 1); }

/// Layers, and how their trace is taken: between them products of all kinds.
struct Case {
  LayerKind layer;
  TraceMode mode;
  int probes = 1;
  TraceForm form = TraceForm::Tangent;
};
constexpr Case kCases[] = {{LayerKind::Concat, TraceMode::Hutchinson},
                           {LayerKind::ConcatSquash, TraceMode::Hutchinson, 2},
                           {LayerKind::Blend, TraceMode::Hutchinson},
                           {LayerKind::Ignore, TraceMode::Hutchinson, 1, TraceForm::Vjp},
                           {LayerKind::Squash, TraceMode::Exact}};

void evaluate(const Engine& engine, Activation activation, const Case& one, Errors (&errors)[2]) {
  Cnf cnf;
  cnf.net.hidden = {96, 96};
  cnf.net.layer = one.layer;
  cnf.net.activation = activation;
  const FlowDescription description{{int(kSize)}, {cnf}};
  std::mt19937_64 generator(3);
  const checks::Vector rows = checks::floats(checks::normals(kBatch * kSize, generator));
  const checks::Vector noise =
      checks::floats(checks::normals(one.probes * kBatch * kSize, generator));
  VelocityRequest request;
  request.batch = kBatch;
  request.z = rows;
  if (one.mode == TraceMode::Hutchinson) request.noise.given = {noise};
  request.times = {0.25};
  request.trace.mode = one.mode;
  request.trace.probes = one.probes;
  request.trace.form = one.form;
  SolveRequest solve;
  solve.batch = kBatch;
  solve.rows = rows;
  solve.noise = request.noise;
  solve.keep_tape = true;
  solve.settings.trace = request.trace;
  solve.settings.solver.tableau = &tableau("midpoint");
  solve.settings.solver.steps = 1;
  const auto reference = checks::perturbed_flow(reference::engine(), description);
  const Results exact = checks::evaluate_and_pull(*reference, request);
  const Results solved = checks::solve_and_pull(*reference, solve);
  for (int i = 0; i < 2; ++i) {
    take_products(kNames[i]);
    const auto flow = checks::perturbed_flow(engine, description);
    errors[i].add(checks::evaluate_and_pull(*flow, request), exact);
    errors[i].add(checks::solve_and_pull(*flow, solve), solved);
  }
}

int check(const Engine& engine) {
  Report report;
  std::printf("%-10s %-10s %10s %10s\n", "net", "products", "evaluation", "gradients");
  for (Activation activation : {Activation::Softplus, Activation::Tanh}) {
    Errors errors[2];
    for (const Case& one : kCases) evaluate(engine, activation, one, errors);
    for (int i = 0; i < 2; ++i) {
      const std::string name = std::string(kNames[i]) + ", " + std::string(name_of(activation));
      const double evaluation = errors[i].evaluation(), gradients = errors[i].gradients();
      std::printf("%-10s %-10s %10.2e %10.2e\n", std::string(name_of(activation)).c_str(),
                  kNames[i], evaluation, gradients);
      report.expect(name, evaluation, i == 0 ? 2e-6 : 2 * errors[0].evaluation());
      report.expect(name + ", gradients", gradients, i == 0 ? 2e-6 : 2 * errors[0].gradients());
    }
  }
  report.finish("arithmetics of wide nets");

  take_products("bf16x9");
  Cnf cnf;
  cnf.net.hidden = {96};
  const auto flow = checks::perturbed_flow(engine, {{int(kSize)}, {cnf}});
  const checks::Vector rows(kBatch * kSize, 1.0);
  SolveRequest request;
  request.batch = kBatch;
  request.rows = rows;
  request.settings.solver.tableau = &tableau("euler");
  request.settings.solver.steps = 1;
  const std::string message = checks::error_of([&] { checks::solve(*flow, request); });
  report.expect("an unknown name", message.find("'bf16x9'") != std::string::npos &&
                                       message.find("fp16x3") != std::string::npos);
  take_products("fp16x3");
  report.expect("a known name after it",
                checks::error_of([&] { checks::solve(*flow, request); }).empty());
  report.finish("names of arithmetics");
  return report.failures() > 0;
}

}  // namespace

int main() {
  setenv("FFJORD_CUDA_FUSED", "0", 1);
  return checks::with_cuda_engine(check);
}
