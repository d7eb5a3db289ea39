// Transforms behind a block with weights, which the device maps, against the reference engine:
// forward, in training and out of it, reverse, their pullbacks, and what batch norm commits.
#include <limits>

#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTolerance = 4e-6;
constexpr std::size_t kBatch = 300;  // more than one part of a sum over rows

struct Case {
  std::string name;
  std::vector<int> shape;
  std::vector<Block> transforms;  ///< of vectors behind a batch norm, of images behind a split
};

SolveRequest request_of(const Vector& rows, Direction direction, bool training) {
  SolveRequest request;
  request.direction = direction;
  request.batch = kBatch;
  request.rows = rows;
  request.keep_tape = true;
  request.training = training;
  request.settings.solver.tableau = &tableau("dopri5");
  return request;
}

Vector statistics_of(const Flow& flow) {
  Vector values(flow.layout().buffer_count);
  flow.read(Buffer::Statistics, values);
  return values;
}

void check_case(Report& report, const Engine& engine, const Case& one) {
  FlowDescription description{one.shape, one.transforms};
  if (one.shape.size() == 1) description.blocks.insert(description.blocks.begin(), BatchNorm{0.3});
  const auto device = checks::perturbed_flow(engine, description);
  const auto host = checks::perturbed_flow(reference::engine(), description);
  std::mt19937_64 generator(1);
  std::uniform_real_distribution<double> law(-2, 2);
  Vector rows(kBatch * element_count(one.shape));
  for (double& value : rows) value = law(generator);
  rows = checks::floats(rows);

  for (int iteration = 1; iteration <= 2; ++iteration) {
    const SolveRequest request = request_of(rows, Direction::Forward, true);
    checks::expect_equal(one.name + " in training", checks::solve_and_pull(*device, request),
                         checks::solve_and_pull(*host, request), kTolerance, report);
    // Adam would make a step of what is left of a gradient that is zero.
    for (Flow* flow : {device.get(), host.get()})
      flow->step({.type = OptimizerType::Sgd, .learning_rate = 0.01, .step = iteration});
    report.expect(one.name + " statistics",
                  checks::relative_error(statistics_of(*device), statistics_of(*host), 1),
                  kTolerance);
  }
  const SolveRequest forward = request_of(rows, Direction::Forward, false);
  const checks::Results there = checks::solve_and_pull(*host, forward);
  checks::expect_equal(one.name + " forward", checks::solve_and_pull(*device, forward), there,
                       kTolerance, report);
  const Vector z = checks::floats(there.parts.front().values);
  const SolveRequest reverse = request_of(z, Direction::Reverse, false);
  checks::expect_equal(one.name + " reverse", checks::solve_and_pull(*device, reverse),
                       checks::solve_and_pull(*host, reverse), kTolerance, report);
  report.finish(one.name);
}

/// Rows of which some leave the support on their way.
void check_outside(Report& report, const Engine& engine) {
  const FlowDescription description{
      {3}, {BatchNorm{}, Support{{0, -kInfinity, -1}, {kInfinity, 1, 1}}, BatchNorm{}}};
  const auto device = checks::perturbed_flow(engine, description);
  const auto host = checks::perturbed_flow(reference::engine(), description);
  Vector rows(kBatch * 3, 0.5);
  rows[3 * 17] = -2;
  rows[3 * 290 + 2] = 4;
  SolveRequest request = request_of(rows, Direction::Forward, false);
  const auto refusal = [&](Flow& flow) {
    return checks::error_of([&] { checks::solve(flow, request); });
  };
  const std::string message = refusal(*device);
  report.expect("refused", message.starts_with("rows 17, 290 lie outside of the support"));
  const auto up_to_value = [](const std::string& text) {
    return text.substr(0, text.find(" is "));
  };
  report.expect("as the host does", up_to_value(message) == up_to_value(refusal(*host)));

  request.outside = Outside::Improbable;
  const checks::Solution found = checks::solve(*device, request);
  checks::Solution expected = checks::solve(*host, request);
  report.expect("improbable", found.delta_logp[17] == kInfinity &&
                                  found.delta_logp[290] == kInfinity &&
                                  std::isfinite(found.delta_logp[18]));
  report.expect("z of all rows", checks::relative_error(found.z, expected.z, 1), kTolerance);
  report.finish("rows outside of the support");
}

Whiten whitening(std::size_t size) {
  Whiten whiten;
  for (std::size_t i = 0; i < size; ++i) {
    whiten.mean.push_back(0.1 * double(i % 5));
    for (std::size_t j = 0; j < size; ++j)
      whiten.matrix.push_back(j > i ? 0 : j == i ? 1.2 : 0.3 / double(1 + i - j));
  }
  return whiten;
}

Standardize standardising(std::size_t size) {
  Standardize standardize;
  for (std::size_t i = 0; i < size; ++i) {
    standardize.mean.push_back(0.2 * double(i % 3));
    standardize.scale.push_back(0.5 + 0.1 * double(i % 7));
  }
  return standardize;
}

}  // namespace

int main() {
  return checks::with_cuda_engine([](const Engine& engine) {
    Report report;
    for (const Case& one : std::vector<Case>{
             {"batch norms", {3}, {BatchNorm{0.5}, BatchNorm{}}},
             {"logit", {3}, {Standardize{Vector(3, -4), Vector(3, 8)}, Logit{0.05}}},
             {"intervals",
              {4},
              {Support{{-9, -kInfinity, -5, -kInfinity}, {kInfinity, 9, 5, kInfinity}},
               ZeroMean{}}},
             {"a line of one number", {1}, {Standardize{{0.5}, {2}}, ZeroMean{}}},
             {"many numbers", {40}, {standardising(40), whitening(40), BatchNorm{}}},
             {"squeeze and split",
              {4, 4, 4},
              {Split{}, Squeeze{}, Split{}, ZeroMean{}, Squeeze{}}}})
      check_case(report, engine, one);
    check_outside(report, engine);
    return int(report.failures() > 0);
  });
}
