// Gradients of the float64 engine on small random nets: every layer, activation, divergence and
// direction against central differences, and the adjoint against the checkpoints.
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "flow_case.h"
#include "plain_regularisers.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr double kStep = 1e-6;  // of a central difference: short, or it would cross kinks of relu
constexpr double kDifferenceTolerance = 1e-7;
constexpr double kAdjointTolerance = 1e-7;
constexpr std::size_t kBatch = 3;

struct DivergenceCase {
  std::string name;
  std::vector<int> hidden;
  TraceMode mode;
  TraceForm form;
  Regularisers regularisers;
  std::string trace;  // what the engine must report
  bool bottleneck = false;
};

const Regularisers kOfVelocity = {"kinetic", "l2int"};
// All but l1int, whose derivative jumps where a component of f changes its sign: a case of its own.
const Regularisers kSmooth = {"kinetic",  "jacobian",     "l2int",          "dl2int",
                              "JFrobint", "JdiagFrobint", "JoffdiagFrobint"};
const Regularisers kAll = [] {
  Regularisers all;
  for (const Regulariser& one : regulariser_table()) all.add(one.name);
  return all;
}();

const std::vector<DivergenceCase> kDivergences = {
    {"one hidden", {5}, TraceMode::Exact, {}, kOfVelocity, "exact (closed form)"},
    {"two hidden", {5, 4}, TraceMode::Exact, {}, {"kinetic"}, "exact (closed form)"},
    {"unit tangents",
     {5, 4, 3},
     TraceMode::Exact,
     {},
     {"kinetic", "jacobian"},
     "exact (unit tangents)"},
    {"whole Jacobian", {5, 4}, TraceMode::Auto, {}, kSmooth, "exact (unit tangents)"},
    {"absolute velocity", {5}, TraceMode::Exact, {}, {"l1int"}, "exact (closed form)"},
    {"tangents",
     {4, 3},
     TraceMode::Hutchinson,
     TraceForm::Tangent,
     {"jacobian", "l2int"},
     "hutchinson (gaussian, 2 probes, tangent)"},
    {"vjp",
     {4, 3},
     TraceMode::Hutchinson,
     TraceForm::Vjp,
     kOfVelocity,
     "hutchinson (gaussian, 2 probes, vjp)"},
    {"bottleneck",
     {4, 2, 5},
     TraceMode::Hutchinson,
     TraceForm::Tangent,
     kOfVelocity,
     "hutchinson (gaussian, 2 probes, bottleneck of 2)",
     true},
};

// A flow of one block, a request, and the loss whose gradient is checked: a random linear form of
// everything that a solve returns.
struct Experiment {
  std::unique_ptr<Flow> flow;
  SolveRequest request;
  Vector rows, context, parameters, z_bar, delta_logp_bar, regularisers_bar;

  double loss(const Vector& at_rows, const Vector& at_parameters) {
    flow->write(Buffer::Parameters, at_parameters);
    request.rows = at_rows;
    request.keep_tape = false;
    const checks::Solution s = checks::solve(*flow, request);
    return checks::dot(z_bar, s.z) + checks::dot(delta_logp_bar, s.delta_logp) +
           checks::dot(regularisers_bar, s.regularisers);
  }

  checks::Gradient gradient() {
    flow->write(Buffer::Parameters, parameters);
    request.rows = rows;
    request.keep_tape = true;
    const checks::Solution s = checks::solve(*flow, request);
    return checks::pull_back(*flow, s, z_bar, delta_logp_bar, regularisers_bar);
  }
};

Experiment make_experiment(const FlowDescription& description, const Settings& settings,
                           Direction direction, std::mt19937_64& generator) {
  Experiment experiment;
  experiment.flow = reference::engine().create(description, generator(), {});
  const std::size_t size = element_count(description.shape);
  Vector& parameters = experiment.parameters;
  parameters.resize(experiment.flow->layout().parameter_count);
  experiment.flow->read(Buffer::Parameters, parameters);
  const Vector noise = checks::normals(parameters.size(), generator, 0.1);
  for (std::size_t i = 0; i < noise.size(); ++i) parameters[i] += noise[i];

  experiment.rows = checks::normals(kBatch * size, generator, 0.7);
  experiment.context = checks::normals(kBatch * description.context.size, generator);
  experiment.request.context = experiment.context;
  experiment.z_bar = checks::normals(kBatch * size, generator);
  experiment.delta_logp_bar = checks::normals(kBatch, generator);
  experiment.regularisers_bar = checks::normals(kBatch * settings.regularisers.count(), generator);
  experiment.request.direction = direction;
  experiment.request.batch = kBatch;
  experiment.request.noise.seed = generator();
  experiment.request.settings = settings;
  return experiment;
}

Vector moved(const Vector& from, double step, const Vector& direction) {
  Vector to = from;
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += step * direction[i];
  return to;
}

// A derivative along a direction, relative to what its length would make typical.
void compare(const std::string& what, double actual, double difference, Report& report) {
  report.expect(what, std::abs(actual - difference) / std::max(1.0, std::abs(difference)),
                kDifferenceTolerance);
}

void check_differences(const std::string& title, Experiment& experiment, std::mt19937_64& generator,
                       Report& report) {
  const checks::Gradient gradient = experiment.gradient();
  const Vector still_rows(experiment.rows.size()), still_parameters(experiment.parameters.size());
  const auto along = [&](const std::string& what, const Vector& rows, const Vector& parameters) {
    const double difference = (experiment.loss(moved(experiment.rows, kStep, rows),
                                               moved(experiment.parameters, kStep, parameters)) -
                               experiment.loss(moved(experiment.rows, -kStep, rows),
                                               moved(experiment.parameters, -kStep, parameters))) /
                              (2 * kStep);
    compare(title + " " + what,
            checks::dot(gradient.rows, rows) + checks::dot(gradient.parameters, parameters),
            difference, report);
  };
  Vector end_time = still_parameters;
  end_time[experiment.flow->layout().blocks[0].sqrt_end_time] = 1;
  along("rows", checks::normals(still_rows.size(), generator), still_parameters);
  along("weights", still_rows, checks::normals(still_parameters.size(), generator));
  along("end time", still_rows, end_time);
}

void check_velocity(const std::string& title, Experiment& experiment, std::mt19937_64& generator,
                    Report& report) {
  Flow& flow = *experiment.flow;
  const std::size_t size = experiment.rows.size();
  VelocityRequest request;
  request.times = {0.1, 0.3, 0.2};
  request.batch = kBatch;
  request.noise = experiment.request.noise;
  request.trace = experiment.request.settings.trace;
  request.context = experiment.context;
  const Vector f_bar = checks::normals(size, generator);
  const Vector divergence_bar = checks::normals(kBatch, generator);
  const auto value = [&](const Vector& rows, const Vector& parameters) {
    flow.write(Buffer::Parameters, parameters);
    request.z = rows;
    Vector f(size), divergence(kBatch);
    flow.velocity(request, f, divergence);
    return checks::dot(f, f_bar) + checks::dot(divergence, divergence_bar);
  };
  const Vector rows = checks::normals(size, generator);
  const Vector weights = checks::normals(experiment.parameters.size(), generator);
  const double difference =
      (value(moved(experiment.rows, kStep, rows), moved(experiment.parameters, kStep, weights)) -
       value(moved(experiment.rows, -kStep, rows), moved(experiment.parameters, -kStep, weights))) /
      (2 * kStep);

  flow.write(Buffer::Parameters, experiment.parameters);
  flow.zero_gradients();
  request.z = experiment.rows;
  Vector z_bar(size), gradients(experiment.parameters.size());
  flow.velocity_pullback(request, f_bar, divergence_bar, true, z_bar);
  flow.read(Buffer::Gradients, gradients);
  compare(title + " velocity", checks::dot(z_bar, rows) + checks::dot(gradients, weights),
          difference, report);
}

void check_adjoint(const std::string& title, Experiment experiment, Report& report) {
  SolverOptions& solver = experiment.request.settings.solver;
  solver.tableau = &tableau("dopri5");
  solver.rtol = solver.atol = 1e-11;
  const checks::Gradient expected = experiment.gradient();
  experiment.request.settings.gradient.method = GradientMethod::Adjoint;
  const checks::Gradient actual = experiment.gradient();
  report.expect(title + " adjoint rows", checks::relative_error(actual.rows, expected.rows, 1e-3),
                kAdjointTolerance);
  report.expect(title + " adjoint weights",
                checks::relative_error(actual.parameters, expected.parameters, 1e-3),
                kAdjointTolerance);
  const std::size_t end_time = experiment.flow->layout().blocks[0].sqrt_end_time;
  report.expect(title + " adjoint end time",
                std::abs(actual.parameters[end_time] - expected.parameters[end_time]),
                kAdjointTolerance);
}

// One Euler step takes T times the integrand at the start: against plain loops, the Jacobian by
// central differences.
void check_integrands(Report& report) {
  std::mt19937_64 generator(31);
  for (const bool residual : {false, true})
    for (Direction direction : {Direction::Forward, Direction::Reverse}) {
      constexpr std::size_t kSize = 4;
      Cnf cnf;
      cnf.time = 0.7;
      cnf.net = {{6, 5}, LayerKind::ConcatSquash, Activation::Tanh, residual, {}};
      Settings settings;
      settings.solver.tableau = &tableau("euler");
      settings.solver.steps = 1;
      settings.regularisers = kAll;
      Experiment experiment =
          make_experiment({{static_cast<int>(kSize)}, {cnf}}, settings, direction, generator);
      experiment.flow->write(Buffer::Parameters, experiment.parameters);
      experiment.request.rows = experiment.rows;
      const checks::Solution solution = checks::solve(*experiment.flow, experiment.request);
      const double root = experiment.parameters[experiment.flow->layout().blocks[0].sqrt_end_time];
      const double end_time = root * root;

      const auto velocity = [&](const Vector& z) {
        VelocityRequest request;
        request.times = {direction == Direction::Forward ? 0 : end_time};
        request.batch = kBatch;
        request.z = z;
        Vector f(z.size());
        experiment.flow->velocity(request, f, {});
        return f;
      };
      const Vector f = velocity(experiment.rows);
      std::vector<Vector> columns;  // of every row's Jacobian, (B, D) each
      for (std::size_t j = 0; j < kSize; ++j) {
        Vector direction_j(f.size());
        for (std::size_t row = 0; row < kBatch; ++row) direction_j[row * kSize + j] = 1;
        columns.push_back(velocity(moved(experiment.rows, kStep, direction_j)));
        const Vector below = velocity(moved(experiment.rows, -kStep, direction_j));
        for (std::size_t i = 0; i < f.size(); ++i)
          columns[j][i] = (columns[j][i] - below[i]) / (2 * kStep);
      }
      std::size_t channel = 0;
      for (const Regulariser* one : kAll) {
        for (std::size_t row = 0; row < kBatch; ++row) {
          const auto part = [&](const Vector& all) {
            return Vector(all.begin() + row * kSize, all.begin() + (row + 1) * kSize);
          };
          check::PlainField<double> field{part(f), {}, 1};
          for (const Vector& column : columns) field.tangents.push_back(part(column));
          const double expected = end_time * check::plain_integrand(one->name, field);
          const double found = solution.regularisers[row * kAll.count() + channel];
          report.expect(std::string(one->name), std::abs(found - expected), 1e-8);
        }
        ++channel;
      }
    }
  report.finish("integrands of the regularisers");
}

Settings settings_of(const DivergenceCase& divergence) {
  Settings settings;
  settings.trace = {divergence.mode, NoiseLaw::Gaussian, 2, divergence.form, divergence.bottleneck};
  settings.solver.tableau = &tableau("rk4");  // a step is a fraction of T, so differences see T̄
  settings.solver.steps = 2;
  settings.regularisers = divergence.regularisers;
  return settings;
}

void check_case(const FlowDescription& description, const DivergenceCase& divergence,
                std::mt19937_64& generator, Report& report) {
  const Net& net = std::get<Cnf>(description.blocks[0]).net;
  const std::string title(name_of(net.activation));
  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    const std::string name =
        title + ", " + divergence.name + (direction == Direction::Reverse ? ", reverse," : ",");
    Experiment experiment =
        make_experiment(description, settings_of(divergence), direction, generator);
    experiment.request.rows = experiment.rows;
    const checks::Solution solution = checks::solve(*experiment.flow, experiment.request);
    report.expect(name + " trace", solution.result.traces.at(0) == divergence.trace);
    check_differences(name, experiment, generator, report);
    check_velocity(name, experiment, generator, report);
    // The adjoint sees a net through the same pullback; one smooth activation will do.
    const bool smooth = !(divergence.regularisers == Regularisers{"l1int"});
    if (net.activation == Activation::Tanh && !net.convolutional() && smooth)
      check_adjoint(name, std::move(experiment), report);
  }
}

void check_dense(LayerKind layer, Report& report) {
  std::mt19937_64 generator(static_cast<int>(layer) + 1);
  bool residual = false;
  for (Activation activation :
       {Activation::Tanh, Activation::Softplus, Activation::Elu, Activation::Relu,
        Activation::Swish, Activation::Square, Activation::Identity})
    for (const DivergenceCase& divergence : kDivergences) {
      Cnf cnf;
      cnf.time = activation == Activation::Square ? 0.1 : 0.7;  // three squares blow up soon
      cnf.train_time = true;
      cnf.net = {divergence.hidden, layer, activation, residual, {}};
      residual = !residual;
      check_case({{3}, {cnf}}, divergence, generator, report);
    }
  report.finish("dense " + std::string(name_of(layer)));
}

std::vector<Convolution> strides(const std::vector<int>& numbers) {
  std::vector<Convolution> convolutions;
  for (int number : numbers) convolutions.push_back(find_convolution(number).value());
  return convolutions;
}

struct ConvolutionCase {
  std::string name;
  std::vector<int> shape, hidden;
  std::vector<Convolution> convolutions;
  int scales = 1;
  Conditioning context = {};

  FlowDescription flow(LayerKind layer, bool residual) const {
    Cnf cnf;
    cnf.time = 0.7;
    cnf.net = {hidden, layer, Activation::Tanh, residual, convolutions, scales};
    return {shape, {cnf}, context};
  }
};

const Convolution kFive = {.kernel = {5, 5}, .padding = 2};
const Convolution kFiveDown = {.kernel = {5, 5}, .stride = 2, .padding = 2};
const Convolution kFiveUp = {
    .kernel = {5, 5}, .stride = 2, .padding = 2, .output_padding = 1, .transposed = true};

const std::vector<ConvolutionCase> kConvolutions = {
    {"three layers", {2, 4, 4}, {4, 3}, strides({2, 1, -2})},
    {"four layers", {2, 4, 4}, {5, 4, 3}, strides({1, 2, -2, 1})},
    {"5 × 5 and output padding", {1, 4, 4}, {3, 2}, {kFiveDown, kFive, kFiveUp}},
    {"pointwise", {2, 3, 2}, {4}, strides({0, 0})},
    {"on two scales", {1, 4, 2}, {3}, strides({1, 1}), 2},
    {"with a context", {1, 3, 3}, {3}, strides({1, 1}), 1, {2}},
};

void check_convolutional(LayerKind layer, Report& report) {
  std::mt19937_64 generator(static_cast<int>(layer) + 101);
  bool residual = true;
  for (const ConvolutionCase& convolution : kConvolutions)
    for (const DivergenceCase& divergence : kDivergences) {
      if (divergence.trace == "exact (closed form)" || divergence.bottleneck) continue;
      if (convolution.hidden.size() != 2 && divergence.name == "whole Jacobian") continue;
      residual = !residual;
      DivergenceCase named = divergence;
      named.name = convolution.name + ", " + divergence.name;
      check_case(convolution.flow(layer, residual), named, generator, report);
    }
  report.finish("convolutional " + std::string(name_of(layer)));
}

// ε cut to lattices: what a set of probes estimates is the sum over its lattices, each of which has
// the signs of its own pixels; with signs the estimate is exact at the spacing of the net's reach.
void check_lattice_noise(Report& report) {
  std::mt19937_64 generator(71);
  for (const ConvolutionCase& convolution :
       {ConvolutionCase{"", {2, 5, 6}, {4}, strides({1, 1})},
        ConvolutionCase{"", {1, 4, 4}, {3}, strides({1, 1}), 1}}) {
    Settings settings;
    settings.solver.tableau = &tableau("rk4");
    settings.solver.steps = 2;
    Experiment experiment = make_experiment(convolution.flow(LayerKind::ConcatSquash, true),
                                            settings, Direction::Forward, generator);
    experiment.flow->write(Buffer::Parameters, experiment.parameters);
    experiment.request.rows = experiment.rows;
    const auto delta_logp = [&](const TraceOptions& trace) {
      experiment.request.settings.trace = trace;
      return checks::solve(*experiment.flow, experiment.request);
    };
    const checks::Solution exact = delta_logp({.mode = TraceMode::Exact});
    TraceOptions noise{.mode = TraceMode::Hutchinson, .noise = NoiseLaw::Rademacher, .probes = 2};
    noise.lattice = 3;
    const checks::Solution reached = delta_logp(noise);
    report.expect("signs on lattices of spacing 3 are exact for two layers",
                  checks::relative_error(reached.delta_logp, exact.delta_logp, 1e-3), 1e-10);
    const int probes = 2 * 9 * convolution.shape[0];
    report.expect("their number", reached.result.traces.at(0) ==
                                      "hutchinson (rademacher, " + std::to_string(probes) +
                                          " probes on lattices, tangent)");
    noise.form = TraceForm::Vjp;
    report.expect("the same by pullbacks",
                  checks::relative_error(delta_logp(noise).delta_logp, exact.delta_logp, 1e-3),
                  1e-10);
    noise.lattice = 2;
    report.expect(
        "an estimate at spacing 2",
        checks::relative_error(delta_logp(noise).delta_logp, exact.delta_logp, 1e-3) > 1e-6);
  }
  report.finish("noise on lattices");
}

// Probes on lattices give the divergence of D unit tangents, which a regulariser asks for, and
// gradients that differences confirm.
void check_lattices(LayerKind layer, Report& report) {
  std::mt19937_64 generator(static_cast<int>(layer) + 201);
  const Convolution wide = {.kernel = {3, 5}, .padding = 1};
  const Convolution back = {.kernel = {3, 5}, .padding = 1, .transposed = true};
  std::vector<ConvolutionCase> cases = kConvolutions;
  cases.push_back({"two layers, 9 of 30 offsets", {2, 5, 6}, {4}, strides({1, 1})});
  cases.push_back({"5 × 5 and 1 × 1", {1, 7, 5}, {3}, {kFive, {}}});
  cases.push_back({"another width between", {1, 7, 6}, {3}, {wide, back}});
  cases.push_back({"three scales", {1, 8, 8}, {2}, strides({1, 0}), 3});
  bool residual = false;
  for (const ConvolutionCase& convolution : cases) {
    residual = !residual;
    const FlowDescription description = convolution.flow(layer, residual);
    const DivergenceCase lattices = {convolution.name + ", lattices", {}, TraceMode::Exact, {}, {},
                                     "exact (lattice probes)"};
    check_case(description, lattices, generator, report);

    Settings settings = settings_of(lattices);
    Experiment experiment = make_experiment(description, settings, Direction::Forward, generator);
    experiment.flow->write(Buffer::Parameters, experiment.parameters);
    experiment.request.rows = experiment.rows;
    const checks::Solution found = checks::solve(*experiment.flow, experiment.request);
    experiment.request.settings.regularisers = {"jacobian"};
    const checks::Solution unit = checks::solve(*experiment.flow, experiment.request);
    report.expect(convolution.name + ": unit tangents",
                  unit.result.traces.at(0) == "exact (unit tangents)");
    report.expect(convolution.name + ": lattices and unit tangents",
                  checks::relative_error(found.delta_logp, unit.delta_logp, 1e-3), 1e-10);
  }
  report.finish("lattices of " + std::string(name_of(layer)));
}

}  // namespace

int main() {
  Report report;
  try {
    check_integrands(report);
    check_lattice_noise(report);
    for (LayerKind layer :
         {LayerKind::Ignore, LayerKind::Concat, LayerKind::ConcatV2, LayerKind::Squash,
          LayerKind::ConcatSquash, LayerKind::Blend, LayerKind::Hyper, LayerKind::ConcatCoord}) {
      if (layer != LayerKind::ConcatCoord) check_dense(layer, report);
      if (layer == LayerKind::Hyper) continue;
      check_convolutional(layer, report);
      check_lattices(layer, report);
    }
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
