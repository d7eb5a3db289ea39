// Wide nets, whose products take prepared operands: values and every gradient against the reference
// engine, at sizes that fill no tile, of products that are cut into slices and of such that are
// not.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kBatch = 70, kSize = 35;
constexpr int kContext = 3;
constexpr double kTolerance = 1e-5;

struct WideCase {
  std::string name;
  LayerKind layer;
  Activation activation;
  TraceOptions trace;
  bool gates = false;  ///< of a context
  std::vector<int> hidden = {300, 72};
};

TraceOptions probes(int count, TraceForm form = TraceForm::Tangent) {
  return {TraceMode::Hutchinson, NoiseLaw::Rademacher, count, form};
}
const TraceOptions kExact{TraceMode::Exact};

const std::vector<WideCase> kCases = {
    {"one probe", LayerKind::Concat, Activation::Softplus, probes(1)},
    {"two probes", LayerKind::Squash, Activation::Tanh, probes(2), true},
    {"three probes, swish", LayerKind::ConcatSquash, Activation::Swish, probes(3), true},
    {"four probes, gates", LayerKind::ConcatSquash, Activation::Square, probes(4)},
    {"vjp", LayerKind::ConcatV2, Activation::Tanh, probes(1, TraceForm::Vjp)},
    {"closed", LayerKind::ConcatSquash, Activation::Softplus, kExact, true},
    {"unit tangents", LayerKind::Concat, Activation::Elu, kExact, false, {40, 130, 33}},
    {"narrow middle", LayerKind::Ignore, Activation::Tanh, probes(1), false, {140, 20, 64}},
    {"blend", LayerKind::Blend, Activation::Tanh, probes(1), false, {70}},
    {"hyper", LayerKind::Hyper, Activation::Tanh, probes(1), false, {40}}};

void check_case(const Engine& engine, const WideCase& one, Report& report) {
  Cnf cnf;
  cnf.train_time = true;
  cnf.net.hidden = one.hidden;
  cnf.net.layer = one.layer;
  cnf.net.activation = one.activation;
  const FlowDescription description{{int(kSize)}, {cnf}, {kContext, one.gates}};
  const auto ours = checks::perturbed_flow(engine, description);
  const auto exact = checks::perturbed_flow(reference::engine(), description);
  std::mt19937_64 generator(3);
  const Vector rows = checks::floats(checks::normals(kBatch * kSize, generator, 0.3));
  const Vector context = checks::floats(checks::normals(kBatch * kContext, generator));
  SolveRequest solve;
  solve.batch = kBatch;
  solve.rows = rows;
  solve.context = context;
  solve.keep_tape = true;
  solve.settings.trace = one.trace;
  solve.settings.regularisers = {"kinetic"};
  solve.settings.solver.tableau = &tableau("midpoint");
  solve.settings.solver.steps = 1;
  checks::expect_equal(one.name, checks::solve_and_pull(*ours, solve),
                       checks::solve_and_pull(*exact, solve), kTolerance, report);
  VelocityRequest velocity;
  velocity.batch = kBatch;
  velocity.z = rows;
  velocity.context = context;
  velocity.trace = one.trace;
  velocity.times = {0.25};
  checks::expect_equal(one.name + ", velocity", checks::evaluate_and_pull(*ours, velocity),
                       checks::evaluate_and_pull(*exact, velocity), kTolerance, report);
}

int check(const Engine& engine) {
  Report report;
  for (const WideCase& one : kCases) check_case(engine, one, report);
  report.finish("wide nets");
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check, checks::layer_by_layer()); }
