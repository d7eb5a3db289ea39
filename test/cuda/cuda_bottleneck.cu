// Bottleneck noise of the CUDA engine: values, every gradient and the cotangent of a context,
// against the reference engine.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kBatch = 45, kSize = 6;  // of which no tile is full
constexpr double kTolerance = 1e-5;

TraceOptions bottleneck(int probes) {
  return {TraceMode::Hutchinson, NoiseLaw::Gaussian, probes, TraceForm::Tangent, true};
}

void compare(const Engine& engine, const std::string& name, const FlowDescription& description,
             int probes, Control control, GradientMethod method, Report& report) {
  std::mt19937_64 generator(1);
  const Vector rows = checks::floats(checks::normals(kBatch * kSize, generator));
  const Vector context =
      checks::floats(checks::normals(kBatch * description.context.size, generator));
  const auto ours = checks::perturbed_flow(engine, description);
  const auto exact = checks::perturbed_flow(reference::engine(), description);

  SolveRequest request;
  request.batch = kBatch;
  request.rows = rows;
  request.context = context;
  request.keep_tape = true;
  request.settings.trace = bottleneck(probes);
  request.settings.regularisers = {"kinetic", "l2int"};
  request.settings.gradient.method = method;
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = 2;
  request.settings.solver.control = control;
  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    request.direction = direction;
    checks::expect_equal(name, checks::solve_and_pull(*ours, request),
                         checks::solve_and_pull(*exact, request), kTolerance, report);
  }

  VelocityRequest velocity;
  velocity.batch = kBatch;
  velocity.z = rows;
  velocity.context = context;
  velocity.trace = bottleneck(probes);
  for (bool own_times : {false, true}) {
    const auto& net = std::get<Cnf>(description.blocks[0]).net;
    if (own_times && net.layer == LayerKind::Hyper) continue;
    velocity.times.assign(own_times ? kBatch : 1, 0.25);
    for (std::size_t row = 0; own_times && row < kBatch; ++row)
      velocity.times[row] = static_cast<float>(0.01 * static_cast<double>(row));
    checks::expect_equal(name + (own_times ? ", own times" : ", velocity"),
                         checks::evaluate_and_pull(*ours, velocity),
                         checks::evaluate_and_pull(*exact, velocity), kTolerance, report);
  }
}

int check(const Engine& engine) {
  Report report;
  const std::vector<std::vector<int>> hidden = {{3}, {3, 7}, {9, 3}, {8, 5, 3, 40}};
  const std::vector<Activation> activations = {Activation::Tanh, Activation::Softplus,
                                               Activation::Swish, Activation::Elu};
  std::size_t index = 0;
  for (LayerKind layer :
       {LayerKind::Ignore, LayerKind::Concat, LayerKind::ConcatV2, LayerKind::Squash,
        LayerKind::ConcatSquash, LayerKind::Blend, LayerKind::Hyper})
    for (int round = 0; round < 2; ++round, ++index) {
      Cnf cnf;
      cnf.time = 0.7;
      cnf.train_time = true;
      cnf.net.hidden = hidden[index % hidden.size()];
      cnf.net.layer = layer;
      cnf.net.activation = activations[(index / 2 + round) % activations.size()];
      cnf.net.residual = round == 1;
      compare(engine, std::string(name_of(layer)), {{int(kSize)}, {cnf}}, 1 + round, Control::Batch,
              round == 0 ? GradientMethod::Checkpoint : GradientMethod::Adjoint, report);
    }
  report.finish("bottleneck noise");

  Cnf cnf;
  cnf.time = 0.7;
  cnf.net.hidden = {8, 3, 9};
  for (bool gates : {false, true})
    for (Control control : {Control::Batch, Control::Tile, Control::Sample})
      compare(engine, gates ? "a context in gates" : "a context", {{int(kSize)}, {cnf}, {2, gates}},
              2, control, GradientMethod::Checkpoint, report);
  compare(engine, "adjoint", {{int(kSize)}, {cnf}, {2, true}}, 2, Control::Batch,
          GradientMethod::Adjoint, report);
  report.finish("bottleneck noise of conditional flows");
  std::printf("%d failures\n", report.failures());
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check); }
