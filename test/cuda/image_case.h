// A convolutional net of the CUDA engine: values and every gradient of solves and velocities
// against the reference engine.
#pragma once

#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace checks {

using ffjord::Activation;
using ffjord::Cnf;
using ffjord::Conditioning;
using ffjord::Control;
using ffjord::Convolution;
using ffjord::Direction;
using ffjord::Engine;
using ffjord::FlowDescription;
using ffjord::GradientMethod;
using ffjord::GradientOptions;
using ffjord::LayerKind;
using ffjord::NoiseLaw;
using ffjord::SolveRequest;
using ffjord::TraceForm;
using ffjord::TraceMode;
using ffjord::TraceOptions;
using ffjord::VelocityRequest;

inline constexpr double kImageTolerance = 1e-5;

inline const TraceOptions kProbes{TraceMode::Hutchinson, NoiseLaw::Gaussian, 2, TraceForm::Tangent};
inline constexpr Convolution kThree{{3, 3}, 1, 1};

struct ImageCase {
  std::string name;
  LayerKind layer;
  std::vector<int> shape = {2, 3, 5};
  std::vector<int> hidden = {5};
  std::vector<Convolution> convolutions = {kThree, kThree};
  TraceOptions trace = kProbes;
  Control control = Control::Batch;
  GradientOptions gradient = {};
  Activation activation = Activation::Tanh;
  bool residual = false;
  std::size_t batch = 3;
  std::vector<std::string> regularisers = {"kinetic"};
  int scales = 1;
  Conditioning context = {};
  int steps = 2;
};

inline FlowDescription description_of(const ImageCase& one) {
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net.hidden = one.hidden;
  cnf.net.layer = one.layer;
  cnf.net.activation = one.activation;
  cnf.net.residual = one.residual;
  cnf.net.convolutions = one.convolutions;
  cnf.net.scales = one.scales;
  return {one.shape, {cnf}, one.context};
}

inline void check_case(const Engine& engine, const ImageCase& one, Report& report) {
  std::mt19937_64 generator(1);
  const Vector rows = floats(normals(one.batch * ffjord::element_count(one.shape), generator));
  const Vector context = floats(normals(one.batch * one.context.size, generator));
  const auto ours = perturbed_flow(engine, description_of(one));
  const auto exact = perturbed_flow(ffjord::reference::engine(), description_of(one));

  SolveRequest request;
  request.batch = one.batch;
  request.rows = rows;
  request.context = context;
  request.keep_tape = true;
  request.settings.trace = one.trace;
  request.settings.gradient = one.gradient;
  for (const std::string& name : one.regularisers) request.settings.regularisers.add(name);
  request.settings.solver.tableau = &ffjord::tableau("heun3");
  request.settings.solver.steps = one.steps;
  request.settings.solver.control = one.control;
  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    request.direction = direction;
    expect_equal(one.name, solve_and_pull(*ours, request), solve_and_pull(*exact, request),
                 kImageTolerance, report);
  }

  VelocityRequest velocity;
  velocity.batch = one.batch;
  velocity.z = rows;
  velocity.context = context;
  velocity.trace = one.trace;
  for (bool own_times : {false, true}) {
    velocity.times.assign(own_times ? one.batch : 1, 0.25);
    for (std::size_t row = 0; own_times && row < one.batch; ++row)
      velocity.times[row] = static_cast<float>(0.01 * static_cast<double>(row));
    expect_equal(one.name + (own_times ? ", own times" : ", velocity"),
                 evaluate_and_pull(*ours, velocity), evaluate_and_pull(*exact, velocity),
                 kImageTolerance, report);
  }
}

}  // namespace checks
