// What crosses between host and device while a flow trains: neither weights, gradients nor rows of
// the data set, whatever blocks they pass.
#include <cuda_runtime.h>

#include <cstdio>
#include <numeric>

#include "core/flow_training.h"
#include "test/cuda/engine.h"
#include "test/emulator/device.h"
#include "test/native/flow_case.h"

namespace {

using namespace checks;
using namespace ffjord;
using emulator::Crossings;

constexpr std::size_t kRows = 32, kSize = 3;
constexpr std::size_t kValues = kRows * 4;  // bytes of a number a row
constexpr std::size_t kTold = 128;          // most that solves are told besides; less than the rows
constexpr std::size_t kReports = 1024;      // most that comes back of an iteration: no row does
constexpr int kMemory = 32;                 // of the device, in MiB

Cnf wide_block() {
  Cnf cnf;
  cnf.net.hidden = {40, 40};
  cnf.net.layer = LayerKind::ConcatSquash;
  cnf.net.activation = Activation::Tanh;
  return cnf;
}

struct Training {
  Training(const Engine& engine, std::vector<Block> blocks, std::size_t count = kRows,
           Conditioning context = {})
      : flow(engine.create({{int(kSize)}, std::move(blocks), context}, 1, {})) {
    std::mt19937_64 generator(3);
    rows = flow->upload(count, normals(count * kSize, generator));
    if (context.size > 0)
      contexts = flow->upload_contexts(count, normals(count * context.size, generator));
    settings.trace.mode = TraceMode::Hutchinson;
    settings.solver.tableau = &tableau("rk4");
    settings.solver.steps = 1;
  }

  // One burst of one iteration.
  Crossings step() {
    const Crossings before = emulator::crossings();
    std::vector<std::uint32_t> indices(kRows);
    std::iota(indices.begin(), indices.end(), 0u);
    const std::vector<std::uint32_t> sizes{kRows};
    const std::vector<double> rates{1e-3};
    const FlowTask task{.rows = *rows, .contexts = contexts.get(), .visits = {}, .weights = {}};
    train(*flow, task,
          {.indices = indices,
           .batch_sizes = sizes,
           .learning_rates = rates,
           .settings = settings,
           .optimizer = {.clip_norm = 1, .average_decay = 0.9, .step = ++steps},
           .stop = {}});
    const Crossings after = emulator::crossings();
    return {after.to_device - before.to_device, after.to_host - before.to_host};
  }
  std::size_t weight_bytes() const { return flow->layout().parameter_count * sizeof(float); }

  std::unique_ptr<Flow> flow;
  std::unique_ptr<Rows> rows, contexts;
  Settings settings;
  long steps = 0;
};

// Bytes of flows whose rows, behind fixed transforms, and contexts stay on the device.
void check_kept_data(Report& report, const Engine& engine, const std::string& title,
                     const std::vector<Block>& transforms, Conditioning context,
                     const std::vector<Block>& between = {}) {
  std::vector<Block> blocks = transforms;
  blocks.push_back(wide_block());
  blocks.insert(blocks.end(), between.begin(), between.end());
  blocks.push_back(wide_block());
  Training training(engine, blocks, kRows, context);
  training.step();
  for (int i = 0; i < 2; ++i) {
    const Crossings crossed = training.step();
    std::printf("  an iteration: %zu bytes to the device, %zu to the host; weights %zu\n",
                crossed.to_device, crossed.to_host, training.weight_bytes());
    report.expect("indices to the device", crossed.to_device <= kValues + kTold);
    report.expect("steps, loss and norm to the host", crossed.to_host <= kReports);
  }
  Vector weights(training.flow->layout().parameter_count);
  const Crossings before = emulator::crossings();
  training.flow->read(Buffer::Parameters, weights);
  training.flow->read(Buffer::Parameters, weights);
  report.expect("weights are copied once until they change",
                emulator::crossings().to_host - before.to_host == training.weight_bytes());
  report.finish(title);
}

void check_large_data(Report& report, const Engine& engine) {
  Training training(engine, {wide_block()}, (std::size_t{kMemory} << 20) / 4 / 4 / kSize + 1);
  training.step();
  const Crossings crossed = training.step();
  report.expect("rows alone", crossed.to_device >= kSize * kValues &&
                                  crossed.to_device <= kSize * kValues + kTold);
  report.finish("more data than a quarter of the memory");
}

}  // namespace

int main() {
  emulator::first_configuration().memory = std::size_t{kMemory} << 20;
  return checks::with_cuda_engine([](const Engine& engine) {
    Report report;
    check_kept_data(report, engine, "blocks with dynamics alone", {}, {});
    check_kept_data(report, engine, "a table's transforms before them",
                    {Standardize{{0.1, -0.2, 0.3}, {1, 2, 3}},
                     Whiten{{0.1, 0.2, 0.3}, {1.5, 0, 0, -0.4, 0.8, 0, 0.3, 0.2, 1.1}}},
                    {});
    check_kept_data(report, engine, "conditional", {}, {4, true});
    const Standardize standardize{{0.1, -0.2, 0.3}, {1, 2, 3}};
    const Whiten whiten{{0.1, 0.2, 0.3}, {1.5, 0, 0, -0.4, 0.8, 0, 0.3, 0.2, 1.1}};
    const Support support{{-99, -99, -HUGE_VAL}, {HUGE_VAL, 99, HUGE_VAL}};
    check_kept_data(report, engine, "transforms between them", {}, {},
                    {standardize, BatchNorm{0.5}, support, ZeroMean{}, whiten});
    check_kept_data(report, engine, "a batch norm in front of them", {BatchNorm{}}, {});
    check_large_data(report, engine);
    return int(report.failures() > 0);
  });
}
