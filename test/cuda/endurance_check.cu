// What only shows in the long run or side by side: memory after many iterations, two flows at once,
// a flow after an allocation that failed. Small nets and others, as each has kernels of its own.
//   endurance_check [ITERATIONS]
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "core/tableau.h"
#include "cuda/device/stream.h"
#include "test/cuda/engine.h"
#include "test/native/flow_case.h"

namespace {

using namespace ffjord;
using checks::Report;

#ifdef FFJORD_EMULATED
constexpr int kIterations = 400;
#else
constexpr int kIterations = 10'000;
#endif

std::size_t free_memory() {
  std::size_t free = 0, total = 0;
  cuda::check(cudaMemGetInfo(&free, &total), "memory of the device");
  return free;
}

FlowDescription description_of(LayerKind layer, std::vector<int> hidden) {
  Cnf cnf;
  cnf.time = 0.5;
  cnf.net.hidden = std::move(hidden);
  cnf.net.layer = layer;
  return {{2}, {cnf}};
}

std::vector<float> rows_of(std::size_t batch) {
  std::vector<float> rows(2 * batch);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i % 7) / 4 - 0.7f;
  return rows;
}

void iterate(Flow& flow, std::size_t batch) {
  const std::vector<float> rows = rows_of(batch);
  std::vector<float> z(rows.size()), delta_logp(batch);
  const std::vector<float> ones(batch, 1.f / static_cast<float>(batch));
  SolveRequest request;
  request.batch = batch;
  request.rows = rows;
  request.keep_tape = true;
  request.settings.trace = {TraceMode::Hutchinson, NoiseLaw::Gaussian, 1, TraceForm::Tangent};
  request.settings.solver.tableau = &tableau("bosh3");
  request.settings.solver.rtol = request.settings.solver.atol = 1e-2;
  SolveOutput output;
  output.z = z;
  output.delta_logp = delta_logp;
  const SolveResult result = flow.solve(request, output);
  PullbackRequest pullback;
  pullback.z_bar = z;
  pullback.delta_logp_bar = ones;
  flow.zero_gradients();
  flow.pullback(*result.tape, pullback);
  flow.step({});
}

std::vector<float> parameters_after(const Engine& engine, LayerKind layer, int iterations) {
  const auto flow = engine.create(description_of(layer, {6}), 1, {});
  for (int i = 0; i < iterations; ++i) iterate(*flow, 5);
  std::vector<float> parameters(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, parameters);
  return parameters;
}

// Blend layers take the kernels of single layers, ignore those of whole nets.
constexpr LayerKind kKinds[] = {LayerKind::Ignore, LayerKind::Blend};

void check_memory(const Engine& engine, int iterations, Report& report) {
  for (LayerKind kind : kKinds) {
    const std::string name(name_of(kind));
    const auto flow = engine.create(description_of(kind, {6}), 1, {});
    for (int i = 0; i < iterations / 10; ++i) iterate(*flow, 5);
    const std::size_t before = free_memory();
    for (int i = 0; i < iterations; ++i) iterate(*flow, 5);
    report.expect(name + ": as much memory is free after many iterations", free_memory() >= before);
  }
  report.finish("memory");
}

void check_two_flows(const Engine& engine, Report& report) {
  constexpr int kFew = 20;
  std::vector<float> alone[2], together[2];
  for (int i : {0, 1}) alone[i] = parameters_after(engine, kKinds[i], kFew);
  std::vector<std::thread> threads;
  for (int i : {0, 1})
    threads.emplace_back([&, i] { together[i] = parameters_after(engine, kKinds[i], kFew); });
  for (std::thread& thread : threads) thread.join();
  for (int i : {0, 1}) report.expect("the same weights, to the last bit", alone[i] == together[i]);
  report.finish("two flows at once");
}

void check_exhaustion(const Engine& engine, Report& report) {
  constexpr int kWide = 4096;
  const auto flow = engine.create(description_of(LayerKind::Concat, {kWide}), 1, {});
  iterate(*flow, 3);
  const std::size_t batch = free_memory() / (kWide * sizeof(float)) + 1;
  std::string message;
  try {
    iterate(*flow, batch);
  } catch (const Error& error) {
    report.expect("the code of the error", error.code == ErrorCode::OutOfMemory);
    message = error.what();
  }
  report.expect("the sizes in '" + message + "'",
                message.find("asked for") != std::string::npos &&
                    message.find("are free") != std::string::npos);
  iterate(*flow, 3);
  report.finish("a batch beyond the memory");
}

}  // namespace

int main(int count, char** arguments) {
  return checks::with_cuda_engine([&](const Engine& engine) {
    Report report;
    check_memory(engine, count > 1 ? std::atoi(arguments[1]) : kIterations, report);
    check_two_flows(engine, report);
    check_exhaustion(engine, report);
    return report.failures() > 0 ? 1 : 0;
  });
}
