// Attempts in a loop that the device drives, and in bunches that the host starts: the same bits.
#include "test/cuda/against_reference.h"
#include "test/cuda/engine.h"

namespace {

using namespace ffjord;
using checks::Report;

constexpr std::size_t kBatch = 37;  // of which no tile is full

std::unique_ptr<Flow> flow_of(bool loops, int context) {
  cuda::CudaOptions options = checks::layer_by_layer();
  options.loops = loops;
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net.hidden = {6, 5};
  return checks::perturbed_flow(checks::cuda_engine(options), {{3}, {cnf}, {context, context > 0}});
}

int check(const Engine&) {
  Report report;
  std::mt19937_64 generator(1);
  SolveRequest request;
  request.batch = kBatch;
  const checks::Vector rows = checks::floats(checks::normals(kBatch * 3, generator));
  request.rows = rows;
  request.keep_tape = true;
  request.settings.regularisers.add("kinetic");
  auto looped = flow_of(true, 0), bunched = flow_of(false, 0);
  const auto compare = [&](const std::string& name) {
    checks::expect_equal(name, checks::solve_and_pull(*looped, request),
                         checks::solve_and_pull(*bunched, request), 0, report);
    const SolveStatistics ours = checks::solve(*looped, request).result.statistics,
                          theirs = checks::solve(*bunched, request).result.statistics;
    report.expect(name + ": statistics", ours.evaluations == theirs.evaluations &&
                                             ours.accepted == theirs.accepted &&
                                             ours.rejected == theirs.rejected &&
                                             ours.smallest_step == theirs.smallest_step &&
                                             ours.stiffness_sum == theirs.stiffness_sum);
  };
  for (const char* method : {"dopri5", "adaptive_heun", "rk4"})
    for (Control control : {Control::Batch, Control::Tile, Control::Sample}) {
      request.direction =
          request.direction == Direction::Forward ? Direction::Reverse : Direction::Forward;
      request.settings.solver.tableau = &tableau(method);
      request.settings.solver.steps = 3;
      request.settings.solver.control = control;
      compare(method);
    }
  // More steps than the first checkpoints have room for, and more attempts than a run makes.
  request.settings.solver.tableau = &tableau("euler");
  request.settings.solver.steps = 70;
  compare("70 steps");
  request.settings.solver.tableau = &tableau("dopri5");
  request.settings.solver.max_attempts = 2;
  const std::string failure = checks::error_of([&] { checks::solve(*looped, request); });
  report.expect("a failure", !failure.empty() && failure == checks::error_of([&] {
                                                   checks::solve(*bunched, request);
                                                 }));
  request.settings.solver.max_attempts = 10000;
  compare("after the failure");
  // A loop that was recorded before reads this call's context.
  looped = flow_of(true, 2);
  bunched = flow_of(false, 2);
  for (int call = 0; call < 2; ++call) {
    const checks::Vector context = checks::floats(checks::normals(kBatch * 2, generator));
    request.context = context;
    compare("a context");
  }
  report.finish("loops of the device");
  std::printf("%d failures\n", report.failures());
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check); }
