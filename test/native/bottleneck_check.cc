// The divergence by noise of a bottleneck's width: its sum over unit vectors is the exact trace on
// both engines; the float32 engine's values, pullbacks and solves are those of the reference.
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "core/tableau.h"
#include "cpu/cpu_engine.h"
#include "flow_case.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kBatch = 45, kSize = 6, kWidth = 3;  // of which no tile is full
constexpr double kTolerance = 2e-5;

struct BottleneckCase {
  std::string name;
  FlowDescription flow;
};

std::vector<BottleneckCase> cases() {
  std::vector<BottleneckCase> all;
  const std::vector<std::vector<int>> hidden = {{3}, {3, 7}, {9, 3}, {8, 5, 3, 10}};
  std::size_t index = 0;
  for (LayerKind layer :
       {LayerKind::Ignore, LayerKind::Concat, LayerKind::ConcatV2, LayerKind::Squash,
        LayerKind::ConcatSquash, LayerKind::Blend, LayerKind::Hyper})
    for (Activation activation :
         {Activation::Tanh, Activation::Softplus, Activation::Elu, Activation::Swish}) {
      Cnf cnf;
      cnf.time = 0.7;
      cnf.net.hidden = hidden[index % hidden.size()];
      cnf.net.layer = layer;
      cnf.net.activation = activation;
      cnf.net.residual = (index / 2) % 2 == 1;
      all.push_back({std::string(name_of(layer)) + " " + std::string(name_of(activation)),
                     {{static_cast<int>(kSize)}, {cnf}}});
      index += activation == Activation::Swish ? 2 : 1;
    }
  return all;
}

Vector floats(Vector values) {
  for (double& value : values) value = static_cast<float>(value);
  return values;
}

std::unique_ptr<Flow> make_flow(const Engine& engine, const FlowDescription& description) {
  auto flow = engine.create(description, 5, {2});
  std::mt19937_64 generator(7);
  Vector parameters(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, parameters);
  const Vector noise = checks::normals(parameters.size(), generator, 0.2);
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] += noise[i];
  flow->write(Buffer::Parameters, floats(parameters));
  return flow;
}

TraceOptions bottleneck(int probes) {
  return {TraceMode::Hutchinson, NoiseLaw::Gaussian, probes, TraceForm::Tangent, true};
}

Vector divergence(Flow& flow, const VelocityRequest& request) {
  Vector f(request.z.size()), values(request.batch);
  flow.velocity(request, f, values);
  return values;
}

void check_unit_vectors(const BottleneckCase& one, const Engine& engine, const Vector& z,
                        double tolerance, Report& report) {
  const auto flow = make_flow(engine, one.flow);
  VelocityRequest request;
  request.times = {0.3};
  request.batch = kBatch;
  request.z = z;
  request.trace.mode = TraceMode::Exact;
  const Vector exact = divergence(*flow, request);

  Vector unit(kWidth * kBatch * kWidth);
  for (std::size_t k = 0; k < kWidth; ++k)
    for (std::size_t row = 0; row < kBatch; ++row) unit[(k * kBatch + row) * kWidth + k] = 1;
  request.noise.given = {unit};
  request.trace = bottleneck(kWidth);
  Vector sum = divergence(*flow, request);
  const bool residual = std::get<Cnf>(one.flow.blocks[0]).net.residual;
  const double identity = residual ? -static_cast<double>(kSize) : 0;
  for (double& value : sum) value = kWidth * (value - identity) + identity;
  report.expect(one.name + " over unit vectors", checks::relative_error(sum, exact, 1), tolerance);
}

void check_velocity(const BottleneckCase& one, const Vector& z, Report& report) {
  const auto ours = make_flow(cpu::engine(), one.flow);
  const auto exact = make_flow(reference::engine(), one.flow);
  std::mt19937_64 generator(11);
  const Vector f_bar = floats(checks::normals(kBatch * kSize, generator));
  const Vector divergence_bar = floats(checks::normals(kBatch, generator));
  for (int probes : {1, 2, 3})
    for (bool own_times : {false, true}) {
      if (own_times && std::get<Cnf>(one.flow.blocks[0]).net.layer == LayerKind::Hyper) continue;
      VelocityRequest request;
      request.times.assign(own_times ? kBatch : 1, 0.25);
      for (std::size_t row = 0; own_times && row < kBatch; ++row)
        request.times[row] = static_cast<float>(0.01 * static_cast<double>(row));
      request.batch = kBatch;
      request.z = z;
      request.noise.seed = 3;
      request.trace = bottleneck(probes);
      const auto results = [&](Flow& flow) {
        std::vector<Vector> all(4);
        all[0].resize(kBatch * kSize);
        all[1].resize(kBatch);
        all[2].resize(kBatch * kSize);
        all[3].resize(flow.layout().parameter_count);
        flow.velocity(request, all[0], all[1]);
        flow.zero_gradients();
        flow.velocity_pullback(request, f_bar, divergence_bar, true, all[2]);
        flow.read(Buffer::Gradients, all[3]);
        return all;
      };
      const auto found = results(*ours), expected = results(*exact);
      const char* const names[] = {"f", "divergence", "z_bar", "gradients"};
      for (std::size_t i = 0; i < found.size(); ++i)
        report.expect(one.name + (own_times ? ", own times, " : ", ") + names[i],
                      checks::relative_error(found[i], expected[i], 1), kTolerance);
    }
}

void check_solves(const BottleneckCase& one, const Vector& z, Report& report) {
  const auto ours = make_flow(cpu::engine(), one.flow);
  const auto exact = make_flow(reference::engine(), one.flow);
  SolveRequest request;
  request.batch = kBatch;
  request.rows = z;
  request.keep_tape = true;
  request.settings.trace = bottleneck(2);
  request.settings.regularisers = {"kinetic", "l2int"};
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = 4;
  const Vector share(kBatch, 1.0 / kBatch), shares(2 * kBatch, 0.3 / kBatch);
  for (GradientMethod method : {GradientMethod::Checkpoint, GradientMethod::Adjoint})
    for (Direction direction : {Direction::Forward, Direction::Reverse}) {
      request.settings.gradient.method = method;
      request.direction = direction;
      const checks::Solution found = checks::solve(*ours, request);
      const checks::Solution expected = checks::solve(*exact, request);
      report.expect(one.name + " z", checks::relative_error(found.z, expected.z, 1), kTolerance);
      report.expect(one.name + " delta_logp",
                    checks::relative_error(found.delta_logp, expected.delta_logp, 1), kTolerance);
      report.expect(one.name + " regularisers",
                    checks::relative_error(found.regularisers, expected.regularisers, 1),
                    kTolerance);
      Vector z_bar = floats(expected.z);
      for (double& value : z_bar) value /= kBatch;
      const auto ours_bar = checks::pull_back(*ours, found, z_bar, share, shares);
      const auto exact_bar = checks::pull_back(*exact, expected, z_bar, share, shares);
      report.expect(one.name + " rows_bar",
                    checks::relative_error(ours_bar.rows, exact_bar.rows, 0), 1e-4);
      report.expect(one.name + " gradients",
                    checks::relative_error(ours_bar.parameters, exact_bar.parameters, 0), 1e-4);
    }
}

void check_refusals(Report& report) {
  const auto refused = [&](std::vector<int> hidden, TraceOptions options,
                           const Regularisers& regularisers) {
    Net net;
    net.hidden = std::move(hidden);
    try {
      plan_trace(plan_net(net, {4}, {}), options, regularisers);
      return false;
    } catch (const Error& error) {
      return error.code == ErrorCode::Unsupported;
    }
  };
  report.expect("a wide net is refused", refused({4, 8}, bottleneck(1), {}));
  report.expect("no hidden layer is refused", refused({}, bottleneck(1), {}));
  report.expect("jacobian is refused", refused({2}, bottleneck(1), {"jacobian"}));
  TraceOptions vjp = bottleneck(1);
  vjp.form = TraceForm::Vjp;
  report.expect("vjp is refused", refused({2}, vjp, {}));
  report.expect("a narrow net is not", !refused({8, 2}, bottleneck(1), {"kinetic"}));
  report.finish("refusals");
}

}  // namespace

int main() {
  Report report;
  try {
    std::mt19937_64 generator(1);
    const Vector z = floats(checks::normals(kBatch * kSize, generator));
    for (const BottleneckCase& one : cases()) {
      check_unit_vectors(one, reference::engine(), z, 1e-12, report);
      check_unit_vectors(one, cpu::engine(), z, kTolerance, report);
      check_velocity(one, z, report);
      check_solves(one, z, report);
    }
    report.finish("bottleneck noise");
    check_refusals(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
