// Convolutional flows of the CUDA engine: values and every gradient against the reference engine,
// for every kind of layer, geometry, trace, control and way of gradients.
#include <functional>

#include "test/cuda/image_case.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

using checks::ImageCase;
using checks::kProbes;
using checks::kThree;

const TraceOptions kExact{TraceMode::Exact};
const TraceOptions kVjp{TraceMode::Hutchinson, NoiseLaw::Rademacher, 2, TraceForm::Vjp};
const GradientOptions kAdjoint{GradientMethod::Adjoint, AdjointNorm::Seminorm};
const GradientOptions kFullAdjoint{GradientMethod::Adjoint, AdjointNorm::Full};

// Convolutions by their kernel, stride and padding.
constexpr Convolution kOne{{1, 1}}, kFive{{5, 5}, 1, 2};
constexpr Convolution kHalf{{4, 4}, 2, 1}, kTwice{{4, 4}, 2, 1, 0, true};
constexpr Convolution kFiveHalf{{5, 5}, 2, 2}, kFiveTwice{{5, 5}, 2, 2, 1, true};
constexpr Convolution kValid{{3, 2}}, kFull{{3, 2}, 1, 0, 0, true};

std::vector<ImageCase> cases() {
  std::vector<ImageCase> cases;
  for (LayerKind kind :
       {LayerKind::Ignore, LayerKind::Concat, LayerKind::ConcatV2, LayerKind::Squash,
        LayerKind::ConcatSquash, LayerKind::Blend, LayerKind::ConcatCoord}) {
    cases.push_back({std::string(name_of(kind)), kind});
    cases.push_back({std::string(name_of(kind)) + ", strided",
                     kind,
                     {1, 4, 6},
                     {4, 3, 2},
                     {kThree, kHalf, kTwice, kThree}});
  }
  for (Activation activation : {Activation::Softplus, Activation::Elu, Activation::Swish,
                                Activation::Square, Activation::Relu}) {
    ImageCase one{std::string(name_of(activation)), LayerKind::ConcatSquash};
    one.activation = activation;
    cases.push_back(one);
  }
  const auto add = [&](const std::string& name, LayerKind kind,
                       const std::function<void(ImageCase&)>& change) {
    ImageCase one{name, kind};
    change(one);
    cases.push_back(one);
  };
  add("exact", LayerKind::Concat, [](auto& one) { one.trace = kExact; });
  add("vjp", LayerKind::ConcatSquash, [](auto& one) { one.trace = kVjp; });
  add("vjp, blend, strided", LayerKind::Blend, [](auto& one) {
    one.trace = kVjp;
    one.shape = {2, 2, 4};
    one.hidden = {3};
    one.convolutions = {kHalf, kTwice};
  });
  for (LayerKind kind : {LayerKind::ConcatCoord, LayerKind::Blend}) {
    add("1×1 and 5×5", kind, [](auto& one) { one.convolutions = {kOne, kFive}; });
    add("5×5 by two, and back", kind, [](auto& one) {
      one.shape = {2, 4, 4};
      one.convolutions = {kFiveHalf, kFiveTwice};
    });
    add("3×2 inside, and back", kind, [](auto& one) { one.convolutions = {kValid, kFull}; });
  }
  for (LayerKind kind : {LayerKind::ConcatCoord, LayerKind::ConcatSquash}) {
    const auto scales = [](auto& one) {
      one.shape = {1, 4, 4};
      one.scales = 3;
    };
    add("scales", kind, scales);
    add("scales, exact", kind, [&](auto& one) {
      scales(one);
      one.trace = kExact;
      one.residual = true;
    });
    add("scales, exact, adjoint", kind, [&](auto& one) {
      scales(one);
      one.trace = kExact;
      one.gradient = kAdjoint;
    });
    add("scales, vjp", kind, [&](auto& one) {
      scales(one);
      one.trace = kVjp;
    });
    add("scales, regularisers", kind, [&](auto& one) {
      scales(one);
      one.trace = kExact;
      one.residual = true;
      one.regularisers = {"JFrobint", "kinetic"};
    });
    add("exact, several passes", kind, [](auto& one) {
      one.shape = {3, 4, 4};
      one.hidden = {4, 4};
      one.convolutions = {kThree, kThree, kThree};
      one.trace = kExact;
    });
    add("exact, single rows", kind, [](auto& one) {
      one.trace = kExact;
      one.control = Control::Sample;
    });
    add("context", kind, [](auto& one) {
      one.context = {3, one.layer == LayerKind::ConcatSquash};
      one.shape = {1, 4, 4};
      one.scales = 2;
    });
    add("context, single rows, adjoint", kind, [](auto& one) {
      one.context = {3, one.layer == LayerKind::ConcatSquash};
      one.control = Control::Sample;
      one.gradient = kAdjoint;
    });
  }
  for (LayerKind kind : {LayerKind::Concat, LayerKind::ConcatSquash}) {
    add("tiles", kind, [](auto& one) {
      one.control = Control::Tile;
      one.batch = 34;
      one.shape = {1, 2, 3};
    });
    add("single rows", kind, [](auto& one) {
      one.control = Control::Sample;
      one.batch = 7;
    });
    add("adjoint", kind, [](auto& one) { one.gradient = kAdjoint; });
  }
  add("adjoint, full norm", LayerKind::Blend, [](auto& one) { one.gradient = kFullAdjoint; });
  add("residual", LayerKind::ConcatSquash, [](auto& one) { one.residual = true; });
  add("regularisers", LayerKind::Concat, [](auto& one) {
    one.residual = true;
    one.regularisers = {"kinetic", "jacobian", "l1int", "l2int"};
  });
  // Wide enough for the tensor cores, of which no tile is full.
  for (LayerKind kind : {LayerKind::Concat, LayerKind::Blend})
    add("wide", kind, [](auto& one) {
      one.hidden = {40, 36};
      one.convolutions = {kThree, kThree, kThree};
      one.batch = 5;
    });
  add("wide, strided", LayerKind::ConcatSquash, [](auto& one) {
    one.shape = {1, 4, 4};
    one.hidden = {36, 33, 40};
    one.convolutions = {kThree, kHalf, kTwice, kThree};
    one.batch = 5;
  });
  return cases;
}

FlowDescription multiscale() {
  const auto cnf = [](LayerKind layer, int hidden) {
    Cnf cnf;
    cnf.time = 0.5;
    cnf.net.layer = layer;
    cnf.net.activation = Activation::Softplus;
    cnf.net.hidden = {hidden};
    cnf.net.convolutions = {kThree, kThree};
    return cnf;
  };
  return {{1, 8, 8},
          {Logit{0.05}, cnf(LayerKind::Concat, 6), Squeeze{}, cnf(LayerKind::ConcatSquash, 5),
           Split{}, cnf(LayerKind::ConcatCoord, 4)}};
}

/// The losses of some iterations of training.
Vector learn(const Engine& engine, const FlowDescription& description) {
  constexpr std::size_t batch = 5, iterations = 6;
  const auto flow = checks::perturbed_flow(engine, description);
  Vector rows(batch * element_count(description.shape));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = 0.5 + 0.4 * std::sin(double(i * i));
  SolveRequest request;
  request.batch = batch;
  request.rows = rows;
  request.keep_tape = true;
  request.settings.trace = kProbes;
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = 2;
  OptimizerOptions rule;
  rule.learning_rate = 0.02;
  Vector losses;
  for (std::size_t i = 0; i < iterations; ++i) {
    const checks::Solution solution = checks::solve(*flow, request);
    double loss = 0;
    for (double z : solution.z) loss += 0.5 * z * z / batch;
    for (double delta_logp : solution.delta_logp) loss += delta_logp / batch;
    losses.push_back(loss);
    Vector z_bar = solution.z;
    for (double& z : z_bar) z /= batch;
    checks::pull_back(*flow, solution, z_bar, Vector(batch, 1.0 / batch), {});
    rule.step = static_cast<long>(i) + 1;
    flow->step(rule);
  }
  return losses;
}

void check_learning(const Engine& engine, Report& report) {
  const Vector ours = learn(engine, multiscale());
  const Vector exact = learn(reference::engine(), multiscale());
  report.expect("losses", checks::relative_error(ours, exact, 1), 1e-5);
  report.expect("a flow learns", ours.back() < ours.front() - 1);
}

int check(const Engine& engine) {
  Report report;
  for (const ImageCase& one : cases()) {
    checks::check_case(engine, one, report);
    report.finish(std::string(name_of(one.layer)) + " " + one.name);
  }
  check_learning(engine, report);
  report.finish("a multiscale flow learns");
  std::printf("%d failures\n", report.failures());
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check); }
