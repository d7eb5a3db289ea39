// A float32 engine against the golden vectors of dense flows: dynamics, values, gradients by every
// method.
#pragma once

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "golden_flow.h"

namespace checks {

using namespace ffjord;

inline constexpr double kDynamicsTolerance = 1e-5, kGoldenTolerance = 1e-4,
                        kGoldenGradientTolerance = 1e-3;
// A gradient that vanishes is compared with what is typical of the loss's.
inline constexpr double kGradientFloor = 1e-2;

inline void check_dynamics(const golden::File& file, Flow& flow, TraceForm form, Report& report) {
  VelocityRequest request;
  request.times = file.at("dynamics.t");
  request.batch = file.at("dynamics.divergence").size();
  request.z = file.at("dynamics.y");
  request.noise = golden::noise_of(file);
  request.trace = golden::trace_of(file, form);
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
  const auto& net = std::get<Cnf>(*std::find_if(file.flow.blocks.begin(), file.flow.blocks.end(),
                                                [](const Block& block) {
                                                  return std::holds_alternative<Cnf>(block);
                                                }))
                        .net;
  if (net.layer == LayerKind::Hyper) return;  // refuses a t per row
  request.times.assign(request.batch, request.times[0]);
  compare("dynamics, a t per row,");
}

inline void check_golden_solve(const golden::File& file, Flow& flow, const Settings& settings,
                               const std::string& title, Report& report) {
  SolveRequest request;
  request.batch = file.at("log_prob").size();
  request.rows = file.at("x");
  request.noise = golden::noise_of(file);
  request.settings = settings;
  request.keep_tape = true;
  const checks::Solution solution = checks::solve(flow, request);
  report.expect(title + " z", checks::relative_error(solution.z, file.at("z"), 1),
                kGoldenTolerance);
  report.expect(title + " delta_logp",
                checks::relative_error(solution.delta_logp, file.at("delta_logp"), 1),
                kGoldenTolerance);

  // loss = mean(‖z‖²/2 + Δlogp + constant)
  const double share = 1.0 / static_cast<double>(request.batch);
  Vector z_bar = solution.z;
  for (double& value : z_bar) value *= share;
  const Vector regularisers_bar(solution.regularisers.size(), 0.0);
  const checks::Gradient gradient =
      checks::pull_back(flow, solution, z_bar, Vector(request.batch, share), regularisers_bar);
  report.expect(title + " grad_x",
                checks::relative_error(gradient.rows, file.at("grad_x"), kGradientFloor),
                kGoldenGradientTolerance);
  for (const Parameter& parameter : flow.layout().parameters) {
    if (!file.has("grad." + parameter.name)) continue;
    const auto first = gradient.parameters.begin() + parameter.offset;
    report.expect(title + " grad." + parameter.name,
                  checks::relative_error(Vector(first, first + parameter.size),
                                         file.at("grad." + parameter.name), kGradientFloor),
                  kGoldenGradientTolerance);
  }
}

/// Their kernels take no time a row.
inline bool has_hypernets(const Flow& flow) {
  const auto& blocks = flow.description().blocks;
  return std::any_of(blocks.begin(), blocks.end(), [](const Block& block) {
    const auto* cnf = std::get_if<Cnf>(&block);
    return cnf && cnf->net.layer == LayerKind::Hyper;
  });
}

inline void check_golden_file(const Engine& engine, const golden::File& file, bool steps_rows,
                              Report& report) {
  const auto flow = golden::make_flow(engine, file, {2});
  Settings settings;
  settings.solver.tableau = &tableau("dopri5");
  settings.solver.rtol = settings.solver.atol = 1e-6;

  std::vector<TraceForm> forms = {TraceForm::Tangent};
  if (file.trace != "exact") forms.push_back(TraceForm::Vjp);
  for (TraceForm form : forms) {
    settings.trace = golden::trace_of(file, form);
    check_dynamics(file, *flow, form, report);
    check_golden_solve(file, *flow, settings, form == TraceForm::Vjp ? "vjp" : "checkpoint",
                       report);
  }
  settings.trace = golden::trace_of(file, TraceForm::Tangent);
  if (file.trace == "exact") {  // tangents where a closed form was used before
    settings.regularisers = {"jacobian"};
    check_golden_solve(file, *flow, settings, "unit tangents", report);
    settings.regularisers = {};
  }
  settings.solver.control = Control::Tile;
  check_golden_solve(file, *flow, settings, "tile control", report);
  settings.solver.control = Control::Sample;
  if (steps_rows && !has_hypernets(*flow))
    check_golden_solve(file, *flow, settings, "sample control", report);
  settings.solver.control = Control::Batch;
  settings.gradient.method = GradientMethod::Adjoint;
  for (AdjointNorm norm : {AdjointNorm::Seminorm, AdjointNorm::Full}) {
    settings.gradient.norm = norm;
    check_golden_solve(file, *flow, settings,
                       norm == AdjointNorm::Full ? "adjoint, full norm" : "adjoint", report);
  }
  // That controller's end value is an interpolant's, which is less exact than its steps.
  settings.solver.controller = Controller::Torchdiffeq;
  settings.solver.rtol = settings.solver.atol = 2e-7;
  for (GradientMethod method : {GradientMethod::Checkpoint, GradientMethod::Adjoint}) {
    settings.gradient.method = method;
    check_golden_solve(
        file, *flow, settings,
        method == GradientMethod::Adjoint ? "torchdiffeq adjoint" : "torchdiffeq checkpoint",
        report);
  }
  report.finish(file.name);
}

/// Every dense file of a folder; the exit code. `steps_rows`: the engine has control 'sample'.
inline int check_golden(const Engine& engine, const std::string& folder, bool steps_rows) {
  Report report;
  int files = 0;
  try {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().filename().string().starts_with("dense-")) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      check_golden_file(engine, golden::read(path.string()), steps_rows, report);
      ++files;
    }
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d files, %d failures\n", files, report.failures());
  return files > 0 && report.failures() == 0 ? 0 : 1;
}

}  // namespace checks
