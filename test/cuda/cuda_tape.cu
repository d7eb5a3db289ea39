// Gradients from evaluations that the solve kept, from some of them, and from none: the same bits.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using cuda::CudaOptions;

constexpr std::size_t kBatch = 37;  // of which no tile is full
// Most MiB of a tape: room for all, for about two steps, for none.
constexpr double kAll = 2, kSome = 0.15, kNone = 0;

struct Case {
  std::string name;
  Cnf cnf;
  SolveRequest request;
  int context = 0;
  double scale = 1;  ///< of all parameters
};

Cnf block(LayerKind layer, std::vector<int> hidden, Activation activation, bool residual = false) {
  Cnf cnf;
  cnf.time = 0.4;
  cnf.train_time = true;
  cnf.net.hidden = std::move(hidden);
  cnf.net.layer = layer;
  cnf.net.activation = activation;
  cnf.net.residual = residual;
  return cnf;
}

std::unique_ptr<Flow> flow_of(const Engine& engine, const Case& one) {
  auto flow = checks::perturbed_flow(engine, {{3}, {one.cnf}, {one.context, one.context > 0}});
  checks::Vector parameters(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, parameters);
  for (double& parameter : parameters) parameter *= one.scale;
  flow->write(Buffer::Parameters, checks::floats(parameters));
  return flow;
}

struct Inputs {
  Inputs(const Case& one, std::mt19937_64& generator)
      : request(one.request),
        rows(checks::floats(checks::normals(kBatch * 3, generator))),
        context(checks::floats(checks::normals(kBatch * one.context, generator))) {
    request.batch = kBatch;
    request.rows = rows;
    request.context = context;
    request.keep_tape = true;
    request.settings.solver.rtol = request.settings.solver.atol = 1e-3;
  }
  SolveRequest request;
  const checks::Vector rows, context;
};

// Two solves of a flow, the second of which knows how many steps the first took.
std::vector<checks::Results> gradients_of(CudaOptions options, const Case& one, double room) {
  options.tape_megabytes = room;
  const auto flow = flow_of(checks::cuda_engine(options), one);
  std::mt19937_64 generator(1);
  std::vector<checks::Results> results;
  for (int call = 0; call < 2; ++call)
    results.push_back(checks::solve_and_pull(*flow, Inputs(one, generator).request));
  return results;
}

void compare(const CudaOptions& options, const Case& one, Report& report) {
  const auto without = gradients_of(options, one, kNone);
  for (double room : {kSome, kAll}) {
    const auto with = gradients_of(options, one, room);
    for (std::size_t call = 0; call < with.size(); ++call)
      checks::expect_equal(one.name + ", " + std::to_string(room) + " MiB", with[call],
                           without[call], 0, report);
  }
}

void check_solvers(const CudaOptions& options, const std::vector<const char*>& methods,
                   Report& report) {
  Case one{"", block(LayerKind::ConcatSquash, {9, 7}, Activation::Tanh), {}};
  one.request.settings.regularisers.add("kinetic");
  SolverOptions& solver = one.request.settings.solver;
  solver.steps = 3;
  for (const char* method : methods) {
    one.name = method;
    one.request.direction =
        one.request.direction == Direction::Forward ? Direction::Reverse : Direction::Forward;
    solver.tableau = &tableau(method);
    compare(options, one, report);
  }
  one.name = "torchdiffeq's controller";
  one.request.settings.regularisers = {};
  solver.tableau = &tableau("dopri5");
  solver.controller = Controller::Torchdiffeq;
  compare(options, one, report);
  report.finish("solvers");
}

// Units of great weights, which switch on the way.
void check_rejections(const CudaOptions& options, Report& report) {
  Case one{"rejections", block(LayerKind::Concat, {9, 7}, Activation::Tanh), {}};
  one.cnf.time = 0.7;
  one.scale = 3;
  one.request.settings.solver.tableau = &tableau("dopri5");
  compare(options, one, report);
  std::mt19937_64 generator(1);
  const SolveStatistics counts =
      checks::solve(*flow_of(checks::cuda_engine(options), one), Inputs(one, generator).request)
          .result.statistics;
  report.expect("attempts are rejected", counts.rejected > 0);
  report.finish("rejections");
}

void check_nets(const CudaOptions& options, Report& report) {
  const TraceOptions exact{TraceMode::Exact, NoiseLaw::Gaussian, 1, TraceForm::Tangent},
      two_probes{TraceMode::Hutchinson, NoiseLaw::Gaussian, 2, TraceForm::Tangent},
      vjp{TraceMode::Hutchinson, NoiseLaw::Gaussian, 1, TraceForm::Vjp},
      narrow{TraceMode::Hutchinson, NoiseLaw::Gaussian, 2, TraceForm::Tangent, true};
  struct Net {
    const char* name;
    Cnf cnf;
    TraceOptions trace;
    int context;
  };
  const Net nets[] = {
      {"closed trace, one hidden layer", block(LayerKind::Ignore, {9}, Activation::Tanh), exact, 0},
      {"closed trace, two", block(LayerKind::ConcatV2, {9, 70}, Activation::Softplus, true), exact,
       0},
      {"gated closed trace", block(LayerKind::ConcatSquash, {9, 7}, Activation::Tanh), exact, 0},
      {"gated closed trace, one layer", block(LayerKind::Squash, {9}, Activation::Tanh), exact, 0},
      {"unit vectors", block(LayerKind::Squash, {9, 7, 5}, Activation::Softplus), exact, 0},
      {"probes", block(LayerKind::Concat, {9, 7}, Activation::Swish, true), two_probes, 0},
      {"a divergence by VJP", block(LayerKind::Concat, {9, 7}, Activation::Tanh), vjp, 0},
      {"a bottleneck", block(LayerKind::ConcatSquash, {9, 2, 7}, Activation::Tanh), narrow, 0},
      {"blend", block(LayerKind::Blend, {9, 7}, Activation::Tanh), two_probes, 0},
      {"hyper", block(LayerKind::Hyper, {6, 6}, Activation::Tanh), exact, 0},
      {"a context", block(LayerKind::ConcatSquash, {9, 7}, Activation::Tanh), exact, 2}};
  for (const Net& net : nets) {
    Case one{net.name, net.cnf, {}, net.context};
    one.request.settings.trace = net.trace;
    one.request.settings.solver.tableau = &tableau("bosh3");
    if (net.trace.mode == TraceMode::Hutchinson) one.request.settings.regularisers.add("kinetic");
    compare(options, one, report);
  }
  report.finish("nets and traces");
}

}  // namespace

int main() {
  return checks::with_cuda_engine([](const Engine&) {
    Report report;
    CudaOptions options = checks::layer_by_layer();
    options.loops = true;
    check_solvers(options, {"dopri5", "tsit5", "bosh3", "adaptive_heun", "euler", "heun3", "rk4"},
                  report);
    check_rejections(options, report);
    check_nets(options, report);
    options.loops = false;
    check_solvers(options, {"dopri5", "rk4"}, report);
    return int(report.failures() > 0);
  });
}
