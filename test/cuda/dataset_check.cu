// A batch of a data set that stays on the device, behind fixed transforms that it went through
// once, and with its contexts: the bits of the same rows handed over with the call.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kBatch = 21, kSize = 3;

struct Case {
  std::string name;
  std::vector<Block> transforms;  ///< before the block with dynamics
  std::vector<Block> after = {};
  Conditioning context = {};
  std::size_t count = 50;  ///< rows of the data set
};

Cnf block() {
  Cnf cnf;
  cnf.train_time = true;
  cnf.net.hidden = {12, 9};
  return cnf;
}

// Gradients of the weights are enough: rows of a data set have no cotangents there.
checks::Results run(Flow& flow, const SolveRequest& request) {
  checks::Solution solution;
  solution.z.resize(request.batch * kSize);
  solution.delta_logp.resize(request.batch);
  solution.result = flow.solve(request, {solution.z, solution.delta_logp, {}, {}, {}});
  std::mt19937_64 generator(5);
  const Vector z_bar = checks::normals(solution.z.size(), generator);
  const Vector delta_logp_bar = checks::normals(request.batch, generator);
  Vector context_bar(request.batch * flow.description().context.size);
  PullbackRequest back;
  back.z_bar = z_bar;
  back.delta_logp_bar = delta_logp_bar;
  back.context_bar = context_bar;
  flow.zero_gradients();
  flow.pullback(*solution.result.tape, back);
  checks::Results results{
      {{"z", solution.z}, {"delta_logp", solution.delta_logp}, {"∂ context", context_bar}}};
  checks::add_gradients(flow, results);
  return results;
}

Vector picked(const Vector& values, std::size_t width, std::span<const std::uint32_t> indices) {
  Vector rows;
  for (std::uint32_t index : indices)
    rows.insert(rows.end(), values.begin() + index * width, values.begin() + (index + 1) * width);
  return rows;
}

void compare(const Engine& engine, const Case& one, Report& report) {
  std::vector<Block> blocks = one.transforms;
  blocks.push_back(block());
  blocks.insert(blocks.end(), one.after.begin(), one.after.end());
  const auto flow = checks::perturbed_flow(engine, {{int(kSize)}, blocks, one.context});
  const std::size_t context_size = one.context.size;
  std::mt19937_64 generator(3);
  std::uniform_real_distribution<double> law(0.02, 0.98);  // within the domain of every transform
  Vector values(one.count * kSize);
  for (double& value : values) value = law(generator);
  values = checks::floats(values);
  const Vector contexts = checks::floats(checks::normals(one.count * context_size, generator));
  const auto rows = flow->upload(one.count, values);
  const auto kept_contexts =
      context_size > 0 ? flow->upload_contexts(one.count, contexts) : nullptr;

  for (int call = 0; call < 2; ++call) {
    std::vector<std::uint32_t> indices(kBatch);
    for (std::size_t i = 0; i < kBatch; ++i)
      indices[i] = static_cast<std::uint32_t>((7919 * i * (call + 1) + 3) % one.count);
    SolveRequest request;
    request.batch = kBatch;
    request.keep_tape = request.training = true;
    request.settings.trace.mode = TraceMode::Hutchinson;
    request.settings.solver.tableau = &tableau("dopri5");
    request.settings.solver.rtol = request.settings.solver.atol = 1e-3;
    SolveRequest by_index = request;
    const Vector batch = picked(values, kSize, indices);
    const Vector context = picked(contexts, context_size, indices);
    request.rows = batch;
    request.context = context;
    by_index.rows = {*rows, indices};
    if (kept_contexts) by_index.context = {*kept_contexts, indices};
    const auto expected = run(*flow, request), found = run(*flow, by_index);
    checks::expect_equal(one.name, found, expected, 0, report);
    flow->step({.learning_rate = 0.1, .step = call + 1});
  }
}

}  // namespace

int main() {
  return checks::with_cuda_engine([](const Engine& engine) {
    Report report;
    const Logit logit{0.05};
    const Standardize standardize{{0.1, -0.3, 0.2}, {2, 0.5, 1.3}};
    const Support support{{0, -HUGE_VAL, -HUGE_VAL}, {HUGE_VAL, 1, HUGE_VAL}};
    const Whiten whiten{{0.1, 0.2, 0.3}, {1.5, 0, 0, -0.4, 0.8, 0, 0.3, 0.2, 1.1}};
    for (const Case& one :
         std::vector<Case>{{"no transform", {}},
                           {"logit", {logit}, {block()}},
                           {"a table's", {support, standardize, whiten}},
                           {"zero mean", {ZeroMean{}}},
                           {"batch norm behind them", {logit}, {BatchNorm{}}},
                           {"batch norm among them", {standardize, BatchNorm{}}},
                           {"contexts", {}, {block()}, {2, true}},
                           {"contexts, behind transforms", {support, whiten}, {}, {2, false}},
                           {"many rows", {logit, standardize}, {}, {}, 70'000}})
      compare(engine, one, report);
    report.finish("batches of data sets on the device");
    return int(report.failures() > 0);
  });
}
