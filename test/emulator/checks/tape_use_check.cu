// That a pullback reads the evaluations its solve kept, and recomputes the others: it is told from
// the launches of layers. And what becomes of a tape for which there is no memory.
#include <cuda_runtime.h>

#include <cstdlib>

#include "core/tableau.h"
#include "test/cuda/engine.h"
#include "test/native/flow_case.h"

namespace {

using namespace checks;
using namespace ffjord;

constexpr int kMemory = 2;             // of the device, in MiB
constexpr int kSteps = 6, kStages = 4;  // of rk4
constexpr std::uint64_t kLayers = 3;

struct Pull {
  std::uint64_t layers = 0;  ///< that the pullback ran
  Gradient gradient;
};

Pull pull(Flow& flow, std::size_t batch) {
  std::mt19937_64 generator(3);
  const Vector rows = normals(batch * 3, generator);
  SolveRequest request;
  request.batch = batch;
  request.rows = rows;
  request.keep_tape = true;
  request.settings.trace.mode = TraceMode::Hutchinson;
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = kSteps;
  const Solution solution = solve(flow, request);
  const Vector bars = normals(rows.size(), generator), delta_logp_bars(batch, 1);
  const std::uint64_t before = emulator::launches("layer_forward");
  Pull result;
  result.gradient = pull_back(flow, solution, bars, delta_logp_bars, {});
  result.layers = emulator::launches("layer_forward") - before;
  return result;
}

int check(const Engine& engine) {
  Report report;
  Cnf cnf;
  cnf.net.hidden = {40, 40};
  cnf.net.layer = LayerKind::ConcatSquash;
  const auto flow = engine.create({{3}, {cnf}}, 1, {});
  constexpr std::uint64_t kAll = kSteps * kStages * kLayers;
  const auto expect = [&](const char* what, bool holds, const Pull& found, const Pull& expected) {
    report.expect(what, holds);
    report.expect(std::string(what) + ": gradients",
                  found.gradient.parameters == expected.gradient.parameters &&
                      found.gradient.rows == expected.gradient.rows);
  };
  for (std::size_t batch : {8, 64}) {
    setenv("FFJORD_CUDA_TAPE_MB", "0", 1);
    const Pull none = pull(*flow, batch);
    report.expect("without a tape all is recomputed", none.layers == kAll);
    // More than the device has: all that a solve needs, which for the larger batch is not there.
    setenv("FFJORD_CUDA_TAPE_MB", "1000", 1);
    const Pull asked = pull(*flow, batch);
    expect("as much as the solve needs", asked.layers == (batch == 8 ? 0 : kAll), asked, none);
    unsetenv("FFJORD_CUDA_TAPE_MB");
    const Pull share = pull(*flow, batch);
    expect("a share of the memory",
           batch == 8 ? share.layers == 0 : share.layers > 0 && share.layers < kAll, share, none);
  }
  report.finish("evaluations that were kept");
  return report.failures() > 0;
}

}  // namespace

int main() {
  setenv("FFJORD_EMULATOR_MEMORY", std::to_string(kMemory).c_str(), 1);
  setenv("FFJORD_CUDA_FUSED", "0", 1);
  return checks::with_cuda_engine(check);
}
