// A batch of images that stay on the device, where a visit draws them and maps them through the
// flow's first transforms: the same as rows that the host draws, handed over with the call.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kBatch = 21, kCount = 50, kSize = 30;

struct Case {
  std::string name;
  VisitRule rule;
  std::vector<Block> transforms;  ///< before the block with dynamics
  double tolerance;  ///< 0 without transforms; a logarithm may be rounded otherwise on a device
};

Cnf block() {
  Cnf cnf;
  cnf.net.hidden = {8};
  return cnf;
}

checks::Results run(Flow& flow, const SolveRequest& request) {
  checks::Solution solution;
  solution.z.resize(request.batch * kSize);
  solution.delta_logp.resize(request.batch);
  solution.result = flow.solve(request, {solution.z, solution.delta_logp, {}, {}, {}});
  std::mt19937_64 generator(5);
  const Vector z_bar = checks::normals(solution.z.size(), generator);
  PullbackRequest back;
  back.z_bar = z_bar;
  flow.zero_gradients();
  flow.pullback(*solution.result.tape, back);
  checks::Results results{{{"z", solution.z}, {"delta_logp", solution.delta_logp}}};
  checks::add_gradients(flow, results);
  return results;
}

void compare(const Engine& engine, const Case& one, Report& report) {
  std::vector<Block> blocks = one.transforms;
  blocks.push_back(block());
  const auto flow = checks::perturbed_flow(engine, {{int(kSize)}, blocks});
  std::vector<std::uint8_t> levels(kCount * kSize);
  for (std::size_t i = 0; i < levels.size(); ++i)
    levels[i] = i % 5 == 0 ? 0 : i % 7 == 0 ? 255 : static_cast<std::uint8_t>(37 * i);
  const auto images = flow->upload_images(kCount, levels, one.rule);

  for (std::uint32_t visit = 0; visit < 3; ++visit) {
    std::vector<std::uint32_t> indices(kBatch);
    for (std::size_t i = 0; i < kBatch; ++i)
      indices[i] = static_cast<std::uint32_t>((7919 * i * (visit + 1) + 3) % kCount);
    SolveRequest request;
    request.batch = kBatch;
    request.keep_tape = request.training = true;
    request.settings.trace.mode = TraceMode::Hutchinson;
    request.settings.solver.tableau = &tableau("dopri5");
    request.settings.solver.rtol = request.settings.solver.atol = 1e-3;
    SolveRequest visited = request;
    Vector batch(kBatch * kSize);
    visit_rows<double>({levels, kSize, one.rule}, indices, visit, batch);
    request.rows = batch;
    visited.rows = {*images, indices, visit};
    const auto expected = run(*flow, request), found = run(*flow, visited);
    checks::expect_equal(one.name, found, expected, one.tolerance, report);
  }
}

}  // namespace

int main() {
  return checks::with_cuda_engine([](const Engine& engine) {
    Report report;
    const auto rule = [](LevelLaw law, bool flip, bool is_draw = false) {
      return VisitRule{law, flip, 7, is_draw, 2, 5};
    };
    const Logit logit{1e-6};
    const Standardize standardize{Vector(kSize, -4.95), Vector(kSize, 3.62)};
    const Support support{Vector(kSize, -0.5), Vector(kSize, 1.5)};
    constexpr double kRounding = 2e-6;
    for (const Case& one : std::vector<Case>{
             {"uniform", rule(LevelLaw::Uniform, true), {}, 0},
             {"a draw of evaluation", rule(LevelLaw::Uniform, true, true), {}, 0},
             {"binary", rule(LevelLaw::Bernoulli, true), {}, 0},
             {"centres", rule(LevelLaw::Centre, false), {}, 0},
             {"shares", rule(LevelLaw::Share, true), {ZeroMean{}}, 0},
             {"logit", rule(LevelLaw::Uniform, true), {logit, standardize}, kRounding},
             {"shares through a logit", rule(LevelLaw::Share, false), {logit}, kRounding},
             {"support", rule(LevelLaw::Uniform, true), {support}, kRounding}})
      compare(engine, one, report);
    report.finish("images that stay on the device");
    return int(report.failures() > 0);
  });
}
