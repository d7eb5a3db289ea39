// Conditional flows of the CUDA engine: values, every gradient, and the cotangent of the context,
// against the reference engine.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kBatch = 70, kSize = 3;  // of which no tile is full
constexpr int kContext = 4;
constexpr double kTolerance = 1e-5;

struct ContextCase {
  std::string name;
  LayerKind layer;
  std::vector<int> hidden;
  bool gates;
  TraceOptions trace;
  Control control = Control::Batch;
  GradientOptions gradient = {};
  Activation activation = Activation::Tanh;
};

const TraceOptions kExact{TraceMode::Exact};
const TraceOptions kProbes{TraceMode::Hutchinson, NoiseLaw::Gaussian, 2, TraceForm::Tangent};
const TraceOptions kVjp{TraceMode::Hutchinson, NoiseLaw::Rademacher, 2, TraceForm::Vjp};
const GradientOptions kAdjoint{GradientMethod::Adjoint, AdjointNorm::Seminorm};
const GradientOptions kFullAdjoint{GradientMethod::Adjoint, AdjointNorm::Full};

const std::vector<ContextCase> kCases = {
    {"ignore, closed", LayerKind::Ignore, {10, 9}, false, kExact},
    {"concat, closed", LayerKind::Concat, {40}, false, kExact},
    {"concatsquash, closed", LayerKind::ConcatSquash, {10, 9}, false, kExact},
    {"gates, closed, one hidden", LayerKind::Squash, {10}, true, kExact},
    {"gates, closed, two hidden", LayerKind::ConcatSquash, {10, 9}, true, kExact},
    {"gates, closed, tiles", LayerKind::ConcatSquash, {10, 9}, true, kExact, Control::Tile},
    {"gates, single rows", LayerKind::ConcatSquash, {10, 9}, true, kExact, Control::Sample},
    {"single rows", LayerKind::Concat, {10, 9}, false, kExact, Control::Sample},
    {"gates, unit tangents", LayerKind::ConcatSquash, {10, 40, 7}, true, kExact},
    {"no hidden layer", LayerKind::ConcatSquash, {}, true, kExact},
    {"probes", LayerKind::ConcatV2, {10, 9}, false, kProbes, Control::Tile},
    {"gates, probes", LayerKind::Squash, {10, 9}, true, kProbes},
    {"gates, swish",
     LayerKind::Squash,
     {10, 9},
     true,
     kProbes,
     Control::Batch,
     {},
     Activation::Swish},
    {"gates, vjp", LayerKind::ConcatSquash, {10, 9}, true, kVjp},
    {"blend", LayerKind::Blend, {10, 9}, false, kProbes},
    {"hyper", LayerKind::Hyper, {8, 6}, false, kProbes},
    {"hyper, tiles", LayerKind::Hyper, {8}, false, kExact, Control::Tile},
    {"adjoint", LayerKind::ConcatSquash, {10, 9}, true, kExact, Control::Batch, kAdjoint},
    {"adjoint, full norm",
     LayerKind::Concat,
     {10, 9},
     false,
     kProbes,
     Control::Batch,
     kFullAdjoint},
};

FlowDescription description_of(const ContextCase& one) {
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net.hidden = one.hidden;
  cnf.net.layer = one.layer;
  cnf.net.activation = one.activation;
  return {{int(kSize)}, {cnf, cnf}, {kContext, one.gates}};
}

/// Rows and their contexts, which outlive the requests that name them.
struct Inputs {
  explicit Inputs(int seed) {
    std::mt19937_64 generator(seed);
    rows = checks::floats(checks::normals(kBatch * kSize, generator));
    context = checks::floats(checks::normals(kBatch * kContext, generator));
  }
  SolveRequest request(const ContextCase& one) const {
    SolveRequest request;
    request.batch = kBatch;
    request.rows = rows;
    request.context = context;
    request.keep_tape = true;
    request.settings.trace = one.trace;
    return request;
  }

  Vector rows, context;
};

void check_case(const Engine& engine, const ContextCase& one, Report& report) {
  const Inputs inputs(1);
  const auto ours = checks::perturbed_flow(engine, description_of(one));
  const auto exact = checks::perturbed_flow(reference::engine(), description_of(one));

  SolveRequest request = inputs.request(one);
  request.settings.gradient = one.gradient;
  request.settings.regularisers = {"kinetic"};
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = 2;
  request.settings.solver.control = one.control;
  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    request.direction = direction;
    checks::expect_equal(one.name, checks::solve_and_pull(*ours, request),
                         checks::solve_and_pull(*exact, request), kTolerance, report);
  }

  VelocityRequest velocity;
  velocity.block = 1;
  velocity.batch = kBatch;
  velocity.z = inputs.rows;
  velocity.context = inputs.context;
  velocity.trace = one.trace;
  for (bool own_times : {false, true}) {
    if (own_times && one.layer == LayerKind::Hyper) continue;
    velocity.times.assign(own_times ? kBatch : 1, 0.25);
    for (std::size_t row = 0; own_times && row < kBatch; ++row)
      velocity.times[row] = static_cast<float>(0.01 * static_cast<double>(row));
    checks::expect_equal(one.name + (own_times ? ", own times" : ", velocity"),
                         checks::evaluate_and_pull(*ours, velocity),
                         checks::evaluate_and_pull(*exact, velocity), kTolerance, report);
  }
}

// Steps that the error chooses, in norms that hold the context's cotangent.
void check_adaptive(const Engine& engine, Report& report) {
  const ContextCase one{"adaptive", LayerKind::ConcatSquash, {10, 9}, true, kExact};
  const Inputs inputs(2);
  const auto ours = checks::perturbed_flow(engine, description_of(one));
  const auto exact = checks::perturbed_flow(reference::engine(), description_of(one));
  SolveRequest request = inputs.request(one);
  request.settings.solver.tableau = &tableau("dopri5");
  request.settings.solver.rtol = request.settings.solver.atol = 1e-6;
  for (GradientOptions gradient : {GradientOptions(), kAdjoint, kFullAdjoint}) {
    request.settings.gradient = gradient;
    checks::expect_equal(one.name, checks::solve_and_pull(*ours, request),
                         checks::solve_and_pull(*exact, request), 1e-3, report);
  }
}

int check(const Engine& engine) {
  Report report;
  for (const ContextCase& one : kCases) check_case(engine, one, report);
  report.finish("conditional flows");
  check_adaptive(engine, report);
  report.finish("conditional flows, adaptive steps");
  std::printf("%d failures\n", report.failures());
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check); }
