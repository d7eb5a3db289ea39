// The float64 engine against the golden vectors of test/golden: one evaluation of the dynamics, the
// flow's output, and the gradients by every method. Takes the folder, by default test/golden.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "flow_case.h"
#include "golden_file.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr double kDynamicsTolerance = 1e-12;
constexpr double kValueTolerance = 1e-8;
constexpr double kGradientTolerance = 1e-7;
// A gradient that vanishes is compared with what is typical of the loss's.
constexpr double kGradientFloor = 1e-3;

std::unique_ptr<Flow> make_flow(const golden::File& file) {
  auto flow = reference::engine().create(file.flow, 0, {});
  std::size_t used = 0;
  const auto fill = [&](Buffer buffer, const std::vector<Parameter>& entries, std::size_t count) {
    Vector values(count);
    flow->read(buffer, values);
    for (const Parameter& entry : entries) {
      if (!file.has("param." + entry.name)) continue;  // a swish β of 1, batch norm's step
      const Vector& given = file.at("param." + entry.name);
      if (given.size() != entry.size) throw std::runtime_error(entry.name + " has another size");
      std::copy(given.begin(), given.end(), values.begin() + entry.offset);
      ++used;
    }
    flow->write(buffer, values);
  };
  fill(Buffer::Parameters, flow->layout().parameters, flow->layout().parameter_count);
  if (flow->layout().buffer_count > 0)
    fill(Buffer::Statistics, flow->layout().buffers, flow->layout().buffer_count);
  const auto given = std::count_if(file.tensors.begin(), file.tensors.end(), [](const auto& entry) {
    return entry.first.starts_with("param.");
  });
  if (used != static_cast<std::size_t>(given))
    throw std::runtime_error(file.name + " has weights that the flow does not know");
  return flow;
}

TraceOptions trace_of(const golden::File& file, TraceForm form) {
  TraceOptions trace;
  trace.mode = file.trace == "exact" ? TraceMode::Exact : TraceMode::Hutchinson;
  trace.noise = file.trace == "rademacher" ? NoiseLaw::Rademacher : NoiseLaw::Gaussian;
  trace.form = form;
  return trace;
}

Noise noise_of(const golden::File& file) {
  Noise noise;
  for (int block = 0; file.has("noise." + std::to_string(block)); ++block)
    noise.given.push_back(file.at("noise." + std::to_string(block)));
  return noise;
}

void check_dynamics(const golden::File& file, Flow& flow, TraceForm form, Report& report) {
  VelocityRequest request;
  request.times = file.at("dynamics.t");
  request.batch = file.at("dynamics.divergence").size();
  request.z = file.at("dynamics.y");
  request.noise = noise_of(file);
  request.trace = trace_of(file, form);
  Vector f(request.z.size()), divergence(request.batch);
  const auto compare = [&](const std::string& what) {
    flow.velocity(request, f, divergence);
    report.expect(what + " f", checks::relative_error(f, file.at("dynamics.f"), 1),
                  kDynamicsTolerance);
    report.expect(what + " divergence",
                  checks::relative_error(divergence, file.at("dynamics.divergence"), 1),
                  kDynamicsTolerance);
  };
  compare("dynamics");
  request.times.assign(request.batch, request.times[0]);
  compare("dynamics, a t per row,");
}

void check_solve(const golden::File& file, Flow& flow, const Settings& settings,
                 const std::string& title, Report& report) {
  SolveRequest request;
  request.batch = file.at("log_prob").size();
  request.rows = file.at("x");
  request.noise = noise_of(file);
  request.settings = settings;
  request.keep_tape = true;
  const checks::Solution solution = checks::solve(flow, request);
  report.expect(title + " z", checks::relative_error(solution.z, file.at("z"), 1), kValueTolerance);
  report.expect(title + " delta_logp",
                checks::relative_error(solution.delta_logp, file.at("delta_logp"), 1),
                kValueTolerance);

  // loss = mean(‖z‖²/2 + Δlogp + constant)
  const double share = 1.0 / static_cast<double>(request.batch);
  Vector z_bar = solution.z;
  for (double& value : z_bar) value *= share;
  const Vector regularisers_bar(solution.regularisers.size(), 0.0);
  const checks::Gradient gradient =
      checks::pull_back(flow, solution, z_bar, Vector(request.batch, share), regularisers_bar);
  report.expect(title + " grad_x",
                checks::relative_error(gradient.rows, file.at("grad_x"), kGradientFloor),
                kGradientTolerance);
  for (const Parameter& parameter : flow.layout().parameters) {
    if (!file.has("grad." + parameter.name)) continue;
    const auto first = gradient.parameters.begin() + parameter.offset;
    report.expect(title + " grad." + parameter.name,
                  checks::relative_error(Vector(first, first + parameter.size),
                                         file.at("grad." + parameter.name), kGradientFloor),
                  kGradientTolerance);
  }
}

void check_file(const golden::File& file, Report& report) {
  const auto flow = make_flow(file);
  Settings settings;
  settings.solver.tableau = &tableau("dopri5");
  settings.solver.rtol = settings.solver.atol = 1e-10;

  std::vector<TraceForm> forms = {TraceForm::Tangent};
  if (file.trace != "exact") forms.push_back(TraceForm::Vjp);
  for (TraceForm form : forms) {
    settings.trace = trace_of(file, form);
    const std::string prefix = form == TraceForm::Vjp ? "vjp " : "";
    check_dynamics(file, *flow, form, report);
    check_solve(file, *flow, settings, prefix + "checkpoint", report);
  }

  settings.trace = trace_of(file, TraceForm::Tangent);
  if (file.trace == "exact") {  // tangents where a closed form was used before
    settings.regularisers = {"jacobian"};
    check_solve(file, *flow, settings, "unit tangents", report);
    settings.regularisers = {};
  }
  settings.solver.control = Control::Sample;
  check_solve(file, *flow, settings, "sample control", report);
  settings.solver.control = Control::Batch;

  settings.gradient.method = GradientMethod::Adjoint;
  for (AdjointNorm norm : {AdjointNorm::Seminorm, AdjointNorm::Full}) {
    settings.gradient.norm = norm;
    check_solve(file, *flow, settings, norm == AdjointNorm::Full ? "adjoint, full norm" : "adjoint",
                report);
  }

  // That controller's end value is an interpolant's, which is less exact than its steps.
  settings.solver.controller = Controller::Torchdiffeq;
  settings.solver.rtol = settings.solver.atol = 1e-12;
  for (GradientMethod method : {GradientMethod::Checkpoint, GradientMethod::Adjoint}) {
    settings.gradient.method = method;
    check_solve(
        file, *flow, settings,
        method == GradientMethod::Adjoint ? "torchdiffeq adjoint" : "torchdiffeq checkpoint",
        report);
  }
  report.finish(file.name);
}

}  // namespace

int main(int argc, char** argv) {
  Report report;
  std::vector<std::filesystem::path> paths;
  const std::filesystem::path folder = argc > 1 ? argv[1] : "test/golden";
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing))
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    try {
      check_file(golden::read(path.string()), report);
    } catch (const std::exception& error) {
      report.expect(error.what(), false);
      report.finish(path.stem().string());
    }
  }
  std::printf("%zu files, %d failures\n", paths.size(), report.failures());
  return !paths.empty() && report.failures() == 0 ? 0 : 1;
}
