// What each arithmetic of large products makes of a wide net: errors of evaluations, of solves and
// of their gradients against the float64 reference engine, at most twice those of float32.
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

Engine engine_with(const char* products) {
  cuda::CudaOptions options = checks::layer_by_layer();
  options.products = cuda::parse_cuda_options(std::string("products=") + products).products;
  return checks::cuda_engine(options);
}

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

void evaluate(Activation activation, const Case& one, Errors (&errors)[2]) {
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
    const auto flow = checks::perturbed_flow(engine_with(kNames[i]), description);
    errors[i].add(checks::evaluate_and_pull(*flow, request), exact);
    errors[i].add(checks::solve_and_pull(*flow, solve), solved);
  }
}

int check(const Engine&) {
  Report report;
  std::printf("%-10s %-10s %10s %10s\n", "net", "products", "evaluation", "gradients");
  for (Activation activation : {Activation::Softplus, Activation::Tanh}) {
    Errors errors[2];
    for (const Case& one : kCases) evaluate(activation, one, errors);
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

  for (const char* text : {"products=bf16x9", "fused=8", "loops=no", "tapeMb=-1", "tapeMb=", "x"}) {
    const std::string message = checks::error_of([&] { cuda::parse_cuda_options(text); });
    report.expect(text, message.find("'" + std::string(text) + "'") != std::string::npos &&
                            message.find("fp16x3") != std::string::npos);
  }
  const cuda::CudaOptions named =
      cuda::parse_cuda_options("products=float32,fused=16,loops=0,tapeMb=0.5");
  report.expect("options by name", named.products == cuda::CudaOptions::Products::Float32 &&
                                       named.fused == 16 && !named.loops &&
                                       named.tape_megabytes == 0.5);
  const cuda::CudaOptions none = cuda::parse_cuda_options("");
  report.expect("no options", none.products == cuda::CudaOptions::Products::Half3 && !none.fused &&
                                  none.loops && !none.tape_megabytes);
  report.finish("names of options");
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check); }
