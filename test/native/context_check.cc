// Conditional densities: a context is, row by row, nothing but other biases and gates. So every row
// of a conditional flow must agree with an unconditional one whose first bias is b + V c and whose
// gates are σ(a t + q + U c), in its values, its gradients, and those of c. And the float32 engine
// against the float64 one.
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
using checks::Gradient;
using checks::Report;
using checks::Solution;
using checks::Vector;

constexpr std::size_t kDimension = 3, kContext = 4;

FlowDescription description_of(LayerKind layer, const std::vector<int>& hidden,
                               Conditioning context) {
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net.hidden = hidden;
  cnf.net.layer = layer;
  return {{kDimension}, {cnf, cnf}, context};
}

SolveRequest request_of(TraceMode mode, std::size_t batch) {
  SolveRequest request;
  request.batch = batch;
  request.keep_tape = true;
  request.settings.trace = {mode, NoiseLaw::Gaussian, 2, TraceForm::Tangent};
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = 4;
  request.settings.regularisers = {"kinetic"};
  if (mode == TraceMode::Hutchinson) request.settings.regularisers.add("jacobian");
  return request;
}

struct Outcome {
  Solution solution;
  Gradient gradient;
  Vector context;
};

struct Bars {
  Vector z, delta_logp, regularisers;
};

Outcome run(Flow& flow, const SolveRequest& request, const Bars& bars) {
  Outcome outcome{checks::solve(flow, request), {}, Vector(request.context.given.size())};
  PullbackRequest back;
  outcome.gradient.rows.resize(outcome.solution.z.size());
  outcome.gradient.parameters.resize(flow.layout().parameter_count);
  back.z_bar = bars.z;
  back.delta_logp_bar = bars.delta_logp;
  back.regularisers_bar = bars.regularisers;
  back.rows_bar = outcome.gradient.rows;
  back.context_bar = outcome.context;
  flow.zero_gradients();
  flow.pullback(*outcome.solution.result.tape, back);
  flow.read(Buffer::Gradients, outcome.gradient.parameters);
  return outcome;
}

Vector cut(const Vector& values, std::size_t row, std::size_t width) {
  return Vector(values.begin() + row * width, values.begin() + (row + 1) * width);
}

const Parameter& find(const ParameterLayout& layout, const std::string& name) {
  for (const Parameter& parameter : layout.parameters)
    if (parameter.name == name) return parameter;
  throw std::runtime_error("no tensor " + name);
}

// What a context adds to a tensor of the unconditional flow: `matrix` (rows, C) to `target` (rows).
struct Join {
  std::size_t matrix, target, rows;
};

std::vector<Join> joins(const ParameterLayout& conditional, const ParameterLayout& plain) {
  std::vector<Join> joins;
  for (const Parameter& parameter : conditional.parameters) {
    const auto ends = [&](const std::string& end) {
      return parameter.name.size() > end.size() &&
             parameter.name.compare(parameter.name.size() - end.size(), end.size(), end) == 0;
    };
    const auto join = [&](const std::string& own, std::vector<std::string> others) {
      const std::string prefix = parameter.name.substr(0, parameter.name.size() - own.size());
      for (const std::string& other : others)
        joins.push_back({parameter.offset, find(plain, prefix + other).offset, parameter.shape[0]});
    };
    if (ends("_context_gate.weight")) {
      bool squash = false;
      for (const Parameter& p : plain.parameters)
        squash |= p.name.find("._hyper.bias") != std::string::npos;
      join("_context_gate.weight", {squash ? "_hyper.bias" : "_hyper_gate.bias"});
    } else if (ends("_context.weight")) {
      bool blend = false, hyper = false;
      for (const Parameter& p : plain.parameters) {
        blend |= p.name.find("_layer0.") != std::string::npos;
        hyper |= p.name.find("_hypernet.") != std::string::npos;
      }
      if (blend)
        join("_context.weight", {"_layer0.bias", "_layer1.bias"});
      else
        join("_context.weight", {hyper ? "_hypernet.2.bias" : "_layer.bias"});
    }
  }
  return joins;
}

// The weights of the unconditional flow that a row with context c sees.
Vector weights_at(const Flow& conditional, const Flow& plain, const Vector& weights,
                  const Vector& context) {
  Vector values(plain.layout().parameter_count);
  for (const Parameter& parameter : plain.layout().parameters)
    std::copy_n(weights.begin() + find(conditional.layout(), parameter.name).offset, parameter.size,
                values.begin() + parameter.offset);
  for (const Join& join : joins(conditional.layout(), plain.layout()))
    for (std::size_t j = 0; j < join.rows; ++j)
      for (std::size_t k = 0; k < kContext; ++k)
        values[join.target + j] += weights[join.matrix + j * kContext + k] * context[k];
  return values;
}

void check_row_by_row(LayerKind layer, const std::vector<int>& hidden, bool gates, TraceMode mode,
                      GradientMethod method, Report& report) {
  std::mt19937_64 generator(7);
  const std::size_t batch = 3;
  auto flow =
      reference::engine().create(description_of(layer, hidden, {int(kContext), gates}), 1, {});
  auto plain = reference::engine().create(description_of(layer, hidden, {}), 1, {});
  Vector weights(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, weights);

  const Vector rows = checks::normals(batch * kDimension, generator);
  const Vector context = checks::normals(batch * kContext, generator);
  SolveRequest request = request_of(mode, batch);
  request.settings.gradient.method = method;
  if (method == GradientMethod::Adjoint) {
    request.settings.solver.tableau = &tableau("dopri5");
    request.settings.solver.rtol = request.settings.solver.atol = 1e-11;
  }
  const double tolerance = method == GradientMethod::Adjoint ? 1e-8 : 1e-12;
  request.rows = rows;
  request.context = context;
  const int channels = request.settings.regularisers.count();
  const Bars bars{checks::normals(batch * kDimension, generator), checks::normals(batch, generator),
                  checks::normals(batch * channels, generator)};
  const Outcome all = run(*flow, request, bars);

  Vector gradients(weights.size()), context_bar;
  for (std::size_t row = 0; row < batch; ++row) {
    const Vector c = cut(context, row, kContext);
    const Vector x = cut(rows, row, kDimension);
    plain->write(Buffer::Parameters, weights_at(*flow, *plain, weights, c));
    SolveRequest one = request;
    one.batch = 1;
    one.rows = x;
    one.context = {};
    one.noise.row_offset = static_cast<std::uint32_t>(row);
    const Bars bar{cut(bars.z, row, kDimension), cut(bars.delta_logp, row, 1),
                   cut(bars.regularisers, row, channels)};
    const Outcome alone = run(*plain, one, bar);
    report.expect("z",
                  checks::relative_error(cut(all.solution.z, row, kDimension), alone.solution.z, 1),
                  tolerance);
    report.expect(
        "delta_logp",
        checks::relative_error(cut(all.solution.delta_logp, row, 1), alone.solution.delta_logp, 1),
        tolerance);
    report.expect(
        "rows_bar",
        checks::relative_error(cut(all.gradient.rows, row, kDimension), alone.gradient.rows, 1),
        tolerance);
    for (const Parameter& parameter : plain->layout().parameters)
      for (std::size_t i = 0; i < parameter.size; ++i)
        gradients[find(flow->layout(), parameter.name).offset + i] +=
            alone.gradient.parameters[parameter.offset + i];
    Vector c_bar(kContext);
    for (const Join& join : joins(flow->layout(), plain->layout()))
      for (std::size_t j = 0; j < join.rows; ++j)
        for (std::size_t k = 0; k < kContext; ++k) {
          const double bar_j = alone.gradient.parameters[join.target + j];
          gradients[join.matrix + j * kContext + k] += bar_j * c[k];
          c_bar[k] += weights[join.matrix + j * kContext + k] * bar_j;
        }
    context_bar.insert(context_bar.end(), c_bar.begin(), c_bar.end());
  }
  report.expect("gradients", checks::relative_error(all.gradient.parameters, gradients, 1),
                tolerance);
  report.expect("context_bar", checks::relative_error(all.context, context_bar, 1), tolerance);
}

void check_reference(Report& report) {
  for (LayerKind layer :
       {LayerKind::Ignore, LayerKind::Concat, LayerKind::ConcatV2, LayerKind::Squash,
        LayerKind::ConcatSquash, LayerKind::Blend, LayerKind::Hyper})
    for (bool gates : {false, true}) {
      if (gates && layer != LayerKind::Squash && layer != LayerKind::ConcatSquash) continue;
      for (const std::vector<int>& hidden :
           {std::vector<int>{5}, std::vector<int>{5, 4}, std::vector<int>{4, 5, 3}})
        for (TraceMode mode : {TraceMode::Exact, TraceMode::Hutchinson})
          check_row_by_row(layer, hidden, gates, mode, GradientMethod::Checkpoint, report);
      check_row_by_row(layer, {5, 4}, gates, TraceMode::Exact, GradientMethod::Adjoint, report);
    }
  report.finish("reference: row by row other biases and gates");
}

// The velocity and its pullback against central differences in everything that they depend on.
void check_velocity(bool gates, bool own_times, Report& report) {
  std::mt19937_64 generator(8);
  const std::size_t batch = 3;
  auto flow = reference::engine().create(
      description_of(LayerKind::ConcatSquash, {5, 4}, {int(kContext), gates}), 1, {});
  Vector weights(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, weights);
  const Vector z = checks::normals(batch * kDimension, generator);
  const Vector context = checks::normals(batch * kContext, generator);
  const Vector f_bar = checks::normals(z.size(), generator);
  const Vector divergence_bar = checks::normals(batch, generator);
  VelocityRequest request;
  request.block = 1;
  request.batch = batch;
  request.times = {0.3};
  if (own_times) request.times = {0.1, 0.3, 0.5};
  request.trace.mode = TraceMode::Exact;
  const Vector along_z = checks::normals(z.size(), generator);
  const Vector along_context = checks::normals(context.size(), generator);
  const Vector along_weights = checks::normals(weights.size(), generator);
  const auto value = [&](double step) {
    const auto moved = [&](Vector at, const Vector& along) {
      for (std::size_t i = 0; i < at.size(); ++i) at[i] += step * along[i];
      return at;
    };
    const Vector z_at = moved(z, along_z), context_at = moved(context, along_context);
    flow->write(Buffer::Parameters, moved(weights, along_weights));
    request.z = z_at;
    request.context = context_at;
    Vector f(z.size()), divergence(batch);
    flow->velocity(request, f, divergence);
    return checks::dot(f, f_bar) + checks::dot(divergence, divergence_bar);
  };
  const double difference = (value(1e-6) - value(-1e-6)) / 2e-6;
  flow->write(Buffer::Parameters, weights);
  flow->zero_gradients();
  Vector z_bar(z.size()), context_bar(context.size()), gradients(weights.size());
  request.z = z;
  request.context = context;
  request.context_bar = context_bar;
  flow->velocity_pullback(request, f_bar, divergence_bar, true, z_bar);
  flow->read(Buffer::Gradients, gradients);
  const double derivative = checks::dot(z_bar, along_z) + checks::dot(gradients, along_weights) +
                            checks::dot(context_bar, along_context);
  report.expect("velocity", std::abs(derivative - difference) / std::max(1.0, std::abs(difference)),
                1e-7);
}

std::unique_ptr<Flow> seeded(const Engine& engine, const FlowDescription& description,
                             int threads = 0) {
  return engine.create(description, 3, {threads});
}

struct CpuCase {
  std::string name;
  LayerKind layer;
  std::vector<int> hidden;
  bool gates;
  TraceMode mode;
  Control control = Control::Batch;
  GradientOptions gradient = {};
};

const std::vector<CpuCase> kCpuCases = {
    {"closed, one hidden", LayerKind::Concat, {40}, false, TraceMode::Exact},
    {"closed, two hidden", LayerKind::Ignore, {40, 33}, false, TraceMode::Exact},
    {"closed, two hidden, gated", LayerKind::ConcatSquash, {40, 33}, false, TraceMode::Exact},
    {"closed, one hidden, gates", LayerKind::Squash, {40}, true, TraceMode::Exact},
    {"closed, two hidden, gates", LayerKind::ConcatSquash, {40, 33}, true, TraceMode::Exact},
    {"unit tangents, gates", LayerKind::ConcatSquash, {40, 33, 24}, true, TraceMode::Exact},
    {"probes", LayerKind::ConcatV2, {40, 33}, false, TraceMode::Hutchinson},
    {"probes, gates", LayerKind::ConcatSquash, {40, 33}, true, TraceMode::Hutchinson},
    {"blend", LayerKind::Blend, {40, 33}, false, TraceMode::Hutchinson},
    {"hyper", LayerKind::Hyper, {24, 16}, false, TraceMode::Hutchinson},
    {"sample control", LayerKind::ConcatSquash, {40, 33}, true, TraceMode::Exact, Control::Sample},
    {"adjoint",
     LayerKind::ConcatSquash,
     {40, 33},
     true,
     TraceMode::Exact,
     Control::Batch,
     {GradientMethod::Adjoint, AdjointNorm::Seminorm}},
    {"adjoint, full norm",
     LayerKind::ConcatSquash,
     {40, 33},
     false,
     TraceMode::Exact,
     Control::Batch,
     {GradientMethod::Adjoint, AdjointNorm::Full}},
};

void check_cpu(const CpuCase& c, Report& report) {
  std::mt19937_64 generator(9);
  const std::size_t batch = 75;
  const auto description = description_of(c.layer, c.hidden, {int(kContext), c.gates});
  const Vector rows = checks::normals(batch * kDimension, generator);
  const Vector context = checks::normals(batch * kContext, generator);
  SolveRequest request = request_of(c.mode, batch);
  request.rows = rows;
  request.context = context;
  request.settings.solver.control = c.control;
  request.settings.gradient = c.gradient;
  const double share = 1.0 / batch;
  Bars bars{checks::normals(batch * kDimension, generator), checks::normals(batch, generator),
            checks::normals(batch * request.settings.regularisers.count(), generator)};
  for (Vector* part : {&bars.z, &bars.delta_logp, &bars.regularisers})
    for (double& value : *part) value *= share;
  const auto ours = seeded(cpu::engine(), description, 2);
  const auto exact = seeded(reference::engine(), description);
  const Outcome outcome = run(*ours, request, bars), truth = run(*exact, request, bars);
  const double tolerance = 2e-5;
  report.expect(c.name + " z", checks::relative_error(outcome.solution.z, truth.solution.z, 1),
                tolerance);
  report.expect(c.name + " delta_logp",
                checks::relative_error(outcome.solution.delta_logp, truth.solution.delta_logp, 1),
                tolerance);
  report.expect(c.name + " rows_bar",
                checks::relative_error(outcome.gradient.rows, truth.gradient.rows, 0), tolerance);
  report.expect(c.name + " context_bar", checks::relative_error(outcome.context, truth.context, 0),
                10 * tolerance);
  for (const Parameter& parameter : ours->layout().parameters)
    report.expect(
        c.name + " " + parameter.name,
        checks::relative_error(
            Vector(outcome.gradient.parameters.begin() + parameter.offset,
                   outcome.gradient.parameters.begin() + parameter.offset + parameter.size),
            Vector(truth.gradient.parameters.begin() + parameter.offset,
                   truth.gradient.parameters.begin() + parameter.offset + parameter.size),
            1e-2),
        10 * tolerance);
  const auto alone = seeded(cpu::engine(), description, 1);
  const Outcome same = run(*alone, request, bars);
  report.expect(c.name + ", any threads, bit for bit",
                same.solution.z == outcome.solution.z && same.context == outcome.context &&
                    same.gradient.parameters == outcome.gradient.parameters);
}

void check_cpu_velocity(bool own_times, Report& report) {
  std::mt19937_64 generator(10);
  const std::size_t batch = 75;
  const auto description =
      description_of(LayerKind::ConcatSquash, {40, 33, 24}, {int(kContext), true});
  const Vector z = checks::normals(batch * kDimension, generator);
  const Vector context = checks::normals(batch * kContext, generator);
  const Vector f_bar = checks::normals(z.size(), generator);
  const Vector divergence_bar = checks::normals(batch, generator);
  VelocityRequest request;
  request.batch = batch;
  request.z = z;
  request.context = context;
  for (std::size_t row = 0; row < (own_times ? batch : 1); ++row)
    request.times.push_back(0.5 * double(row) / batch + 0.1);
  Vector results[2];
  const Engine engines[] = {cpu::engine(), reference::engine()};
  for (int i = 0; i < 2; ++i) {
    const auto flow = seeded(engines[i], description);
    Vector f(z.size()), divergence(batch), z_bar(z.size()), context_bar(context.size());
    Vector gradients(flow->layout().parameter_count);
    request.context_bar = context_bar;
    flow->velocity(request, f, divergence);
    flow->velocity_pullback(request, f_bar, divergence_bar, true, z_bar);
    flow->read(Buffer::Gradients, gradients);
    for (const Vector* part : {&f, &divergence, &z_bar, &context_bar, &gradients})
      results[i].insert(results[i].end(), part->begin(), part->end());
  }
  report.expect("velocity", checks::relative_error(results[0], results[1], 0), 2e-5);
}

void check_refusals(Report& report) {
  for (const Engine& engine : {reference::engine(), cpu::engine()}) {
    const auto flow =
        seeded(engine, description_of(LayerKind::Concat, {4}, {int(kContext), false}));
    const auto plain = seeded(engine, description_of(LayerKind::Concat, {4}, {}));
    const Vector rows(2 * kDimension), context(2 * kContext);
    SolveRequest request = request_of(TraceMode::Exact, 2);
    request.rows = rows;
    const auto refused = [&](Flow& on) {
      try {
        checks::solve(on, request);
      } catch (const Error& error) {
        return error.code == ErrorCode::InvalidArgument;
      }
      return false;
    };
    report.expect("a missing context is refused", refused(*flow));
    request.context = context;
    report.expect("a context that nothing takes is refused", refused(*plain));
    request.context = Input(context).subspan(0, kContext);
    report.expect("a context of fewer rows is refused", refused(*flow));
  }
  report.finish("refusals");
}

}  // namespace

int main() {
  Report report;
  try {
    check_reference(report);
    for (bool gates : {false, true})
      for (bool own_times : {false, true}) check_velocity(gates, own_times, report);
    report.finish("reference: velocity against differences");
    for (const CpuCase& c : kCpuCases) check_cpu(c, report);
    report.finish("cpu against reference");
    for (bool own_times : {false, true}) check_cpu_velocity(own_times, report);
    report.finish("cpu: velocity against reference");
    check_refusals(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
