// A solve of the CUDA engine, and everything that its pullback gives, against the reference engine.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "core/tableau.h"
#include "reference/reference_engine.h"
#include "test/native/flow_case.h"

namespace checks {

/// What a call returned, by name.
struct Results {
  struct Part {
    std::string name;
    Vector values;
  };
  std::vector<Part> parts;
};

inline Vector floats(Vector values) {
  for (double& value : values) value = static_cast<float>(value);
  return values;
}

/// Equal flows, of weights that no tensor has zero.
inline std::unique_ptr<ffjord::Flow> perturbed_flow(const ffjord::Engine& engine,
                                                    const ffjord::FlowDescription& description) {
  auto flow = engine.create(description, 5, {});
  std::mt19937_64 generator(7);
  Vector parameters(flow->layout().parameter_count);
  flow->read(ffjord::Buffer::Parameters, parameters);
  const Vector noise = normals(parameters.size(), generator, 0.2);
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] += noise[i];
  flow->write(ffjord::Buffer::Parameters, floats(parameters));
  return flow;
}

inline void add_gradients(const ffjord::Flow& flow, Results& results) {
  Vector gradients(flow.layout().parameter_count);
  flow.read(ffjord::Buffer::Gradients, gradients);
  for (const ffjord::Parameter& parameter : flow.layout().parameters) {
    const auto first = gradients.begin() + parameter.offset;
    results.parts.push_back({"∂ " + parameter.name, Vector(first, first + parameter.size)});
  }
}

/// Cotangents are drawn, and shared by all engines.
inline Results solve_and_pull(ffjord::Flow& flow, const ffjord::SolveRequest& request) {
  std::mt19937_64 generator(11);
  const double share = 1.0 / static_cast<double>(request.batch);
  const Solution solution = solve(flow, request);
  const Vector z_bar = floats(normals(solution.z.size(), generator, share));
  const Vector delta_logp_bar = floats(normals(request.batch, generator, share));
  const Vector regularisers_bar = floats(normals(solution.regularisers.size(), generator, share));
  Vector rows_bar(solution.z.size()), context_bar(request.context.given.size());
  ffjord::PullbackRequest back;
  back.z_bar = z_bar;
  back.delta_logp_bar = delta_logp_bar;
  back.regularisers_bar = regularisers_bar;
  back.rows_bar = rows_bar;
  back.context_bar = context_bar;
  flow.zero_gradients();
  flow.pullback(*solution.result.tape, back);
  Results results{{{"z", solution.z},
                   {"delta_logp", solution.delta_logp},
                   {"regularisers", solution.regularisers},
                   {"∂ rows", rows_bar},
                   {"∂ context", context_bar}}};
  add_gradients(flow, results);
  return results;
}

inline Results evaluate_and_pull(ffjord::Flow& flow, ffjord::VelocityRequest request) {
  std::mt19937_64 generator(13);
  Vector f(request.z.size()), divergence(request.batch);
  flow.velocity(request, f, divergence);
  const Vector f_bar = floats(normals(f.size(), generator));
  const Vector divergence_bar = floats(normals(request.batch, generator));
  Vector z_bar(f.size()), context_bar(request.context.size());
  request.context_bar = context_bar;
  flow.zero_gradients();
  flow.velocity_pullback(request, f_bar, divergence_bar, true, z_bar);
  Results results{
      {{"f", f}, {"divergence", divergence}, {"∂ z", z_bar}, {"∂ context", context_bar}}};
  add_gradients(flow, results);
  return results;
}

/// Cotangents relative to the largest of their tensor, or a twentieth of the largest of all.
inline void expect_equal(const std::string& name, const Results& found, const Results& expected,
                         double tolerance, Report& report) {
  double bars = 0;
  for (const Results::Part& part : expected.parts)
    if (part.name.starts_with("∂")) bars = std::max(bars, largest(part.values));
  for (std::size_t i = 0; i < expected.parts.size(); ++i) {
    const Results::Part& part = expected.parts[i];
    const double floor = part.name.starts_with("∂") ? 0.05 * bars : 1;
    report.expect(name + ": " + part.name,
                  relative_error(found.parts[i].values, part.values, floor), tolerance);
  }
}

}  // namespace checks
