// That a pullback reads the evaluations its solve kept, and recomputes the others: it is told from
// the launches of layers. What becomes of a tape for which there is no memory. That a regression
// evaluates once. And where the points of stages are combined.
#include <cuda_runtime.h>

#include "core/tableau.h"
#include "reference/reference_engine.h"
#include "test/cuda/engine.h"
#include "test/emulator/device.h"
#include "test/native/flow_case.h"

namespace {

using namespace checks;
using namespace ffjord;

constexpr int kMemory = 2;              // of the device, in MiB
constexpr int kSteps = 6, kStages = 4;  // of rk4
constexpr std::uint64_t kLayers = 3;

struct Pull {
  std::uint64_t layers = 0;  ///< that the pullback ran
  Gradient gradient;
};

// Launches of layers, those of prepared operands among them.
std::uint64_t layers() {
  return emulator::launches("layer_forward") + emulator::launches("octet_forward") +
         emulator::launches("finish_octet_forward") + emulator::launches("few_channels_forward");
}

Pull pull(Flow& flow, std::size_t batch) {
  std::mt19937_64 generator(3);
  const Vector rows = normals(batch * element_count(flow.description().shape), generator);
  SolveRequest request;
  request.batch = batch;
  request.rows = rows;
  request.keep_tape = true;
  request.settings.trace.mode = TraceMode::Hutchinson;
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = kSteps;
  const Solution solution = solve(flow, request);
  const Vector bars = normals(rows.size(), generator), delta_logp_bars(batch, 1);
  const std::uint64_t before = layers();
  Pull result;
  result.gradient = pull_back(flow, solution, bars, delta_logp_bars, {});
  result.layers = layers() - before;
  return result;
}

FlowDescription dense() {
  Cnf cnf;
  cnf.net.hidden = {40, 40};
  cnf.net.layer = LayerKind::ConcatSquash;
  return {{3}, {cnf}};
}

FlowDescription convolutions() {
  Cnf cnf;
  cnf.net.hidden = {5, 6};
  cnf.net.layer = LayerKind::Concat;
  cnf.net.activation = Activation::Softplus;
  cnf.net.convolutions.assign(kLayers, {{3, 3}, 1, 1});
  return {{1, 4, 4}, {cnf}};
}

// Pulls back with so many MiB of a tape; none: as many as the engine takes.
Pull pull_with(const FlowDescription& flow, std::optional<double> tape_megabytes,
               std::size_t batch) {
  cuda::CudaOptions options = layer_by_layer();
  options.tape_megabytes = tape_megabytes;
  return pull(*cuda_engine(options).create(flow, 1, {}), batch);
}

void check_tape(const FlowDescription& flow, Report& report) {
  constexpr std::uint64_t kAll = kSteps * kStages * kLayers;
  const auto expect = [&](const char* what, bool holds, const Pull& found, const Pull& expected) {
    report.expect(what, holds);
    report.expect(std::string(what) + ": gradients",
                  found.gradient.parameters == expected.gradient.parameters &&
                      found.gradient.rows == expected.gradient.rows);
  };
  for (std::size_t batch : {8, 64}) {
    const Pull none = pull_with(flow, 0, batch);
    report.expect("without a tape all is recomputed", none.layers == kAll);
    // More than the device has: all that a solve needs, which for the larger batch is not there.
    const Pull asked = pull_with(flow, 1000, batch);
    expect("as much as the solve needs", asked.layers == (batch == 8 ? 0 : kAll), asked, none);
    const Pull share = pull_with(flow, std::nullopt, batch);
    expect("a share of the memory",
           batch == 8 ? share.layers == 0 : share.layers > 0 && share.layers < kAll, share, none);
  }
  report.finish(flow.shape.size() == 1 ? "evaluations that were kept" : "those of images");
}

// The losses of flow matching come from the evaluation that is pulled back.
void check_regression(const Engine& engine, Report& report) {
  const std::size_t batch = 5;
  FlowDescription conditional = dense();
  conditional.context = {2};
  for (const FlowDescription& description : {conditional, convolutions()}) {
    const std::size_t size = element_count(description.shape);
    std::mt19937_64 generator(7);
    const Vector z = normals(batch * size, generator), line = normals(batch * size, generator);
    const Vector context = normals(batch * description.context.size, generator);
    struct Found {
      Vector losses, gradients;
    };
    const auto regress = [&](const Engine& by) {
      const auto flow = by.create(description, 1, {});
      VelocityRequest request;
      request.times = {0, 0.1, 0.2, 0.5, 0.9};
      request.batch = batch;
      request.z = z;
      request.context = context;
      Found found{Vector(batch), Vector(flow->layout().parameter_count)};
      flow->zero_gradients();
      flow->velocity_regression(request, {line, 0.7, 0.5, found.losses});
      flow->read(Buffer::Gradients, found.gradients);
      return found;
    };
    const std::uint64_t before = layers();
    const Found found = regress(engine);
    const std::string name = size == 3 ? "dense" : "convolutions";
    report.expect(name + ": one evaluation", layers() - before == kLayers);
    const Found expected = regress(reference::engine());
    report.expect(name + ": losses", relative_error(found.losses, expected.losses, 1e-3), 1e-5);
    report.expect(name + ": gradients", relative_error(found.gradients, expected.gradients, 1e-3),
                  1e-4);
  }
  report.finish("regressions");
}

// Points of stages are combined by the first layer, and where it is deep by a kernel of their own.
void check_points(const Engine& engine, Report& report) {
  for (int size : {3, 130}) {
    Cnf cnf;
    cnf.net.hidden = {8};
    const Vector rows(2 * std::size_t(size), 0.5);
    SolveRequest request;
    request.batch = 2;
    request.rows = rows;
    request.settings.trace.mode = TraceMode::Hutchinson;
    request.settings.solver.tableau = &tableau("rk4");
    request.settings.solver.steps = 2;
    const auto solved = [&](const Engine& by) {
      return solve(*by.create({{size}, {cnf}}, 1, {}), request).z;
    };
    const std::uint64_t before = emulator::launches("combine_stage_point");
    const Vector z = solved(engine);
    const std::uint64_t combined = emulator::launches("combine_stage_point") - before;
    const std::string name = "D = " + std::to_string(size);
    report.expect(name + ": kernels that combine", combined == (size == 3 ? 0 : 2 * (kStages - 1)));
    report.expect(name + ": against the reference",
                  relative_error(z, solved(reference::engine()), 1), 1e-5);
  }
  report.finish("points of stages");
}

}  // namespace

int main() {
  emulator::first_configuration().memory = std::size_t{kMemory} << 20;
  return checks::with_cuda_engine(
      [](const Engine& engine) {
        Report report;
        check_tape(dense(), report);
        check_tape(convolutions(), report);
        check_regression(engine, report);
        check_points(engine, report);
        return int(report.failures() > 0);
      },
      layer_by_layer());
}
