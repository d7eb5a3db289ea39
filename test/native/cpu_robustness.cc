// The float32 engine where things go wrong or on: solves that fail or are stopped, single
// evaluations of the dynamics, memory over many iterations.
#include <cstdio>
#include <exception>
#include <limits>
#include <random>
#include <string>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "core/tableau.h"
#include "cpu/cpu_engine.h"
#include "flow_case.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Solution;
using checks::Vector;

constexpr std::size_t kBatch = 70, kSize = 2;  // two tiles of 32 rows and six rows

std::unique_ptr<Flow> make_flow(const Engine& engine, LayerKind layer = LayerKind::ConcatSquash,
                                int threads = 2) {
  Cnf cnf;
  cnf.time = 1;
  cnf.net.hidden = {64, 64};
  cnf.net.layer = layer;
  return engine.create({{kSize}, {cnf}}, 3, {threads});
}

Vector draw(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  return checks::normals(count, generator);
}

SolveRequest make_request(const Vector& rows) {
  SolveRequest request;
  request.batch = rows.size() / kSize;
  request.rows = rows;
  request.keep_tape = true;
  request.settings.trace.mode = TraceMode::Hutchinson;
  request.settings.solver.tableau = &tableau("dopri5");
  return request;
}

Vector read(const Flow& flow, Buffer buffer) {
  Vector values(flow.layout().parameter_count);
  flow.read(buffer, values);
  return values;
}

// Expects a SolveFailure that names `row` first; the flow must then work as before.
void expect_failure(const std::string& title, Flow& flow, const SolveRequest& bad, std::size_t row,
                    Report& report) {
  const Vector good_rows = draw(kBatch * kSize, 5);
  const Solution before = checks::solve(flow, make_request(good_rows));
  const Vector parameters = read(flow, Buffer::Parameters);
  Vector z(bad.rows.given.size(), -7), delta_logp(bad.batch, -7);
  bool failed = false;
  try {
    SolveOutput output;
    output.z = z;
    output.delta_logp = delta_logp;
    flow.solve(bad, output);
  } catch (const SolveFailure& failure) {
    failed = true;
    report.expect(title + ": the message offers a remedy",
                  std::string(failure.what()).find(';') != std::string::npos ||
                      std::string(failure.what()).find(':') != std::string::npos);
    report.expect(title + ": the block is named", failure.block == 0);
    report.expect(title + ": the row is named", !failure.rows.empty() && failure.rows[0] == row);
  }
  report.expect(title + " fails", failed);
  report.expect(title + ": outputs are left alone",
                z == Vector(z.size(), -7) && delta_logp == Vector(delta_logp.size(), -7));
  report.expect(title + ": weights are left alone", read(flow, Buffer::Parameters) == parameters);
  const Solution after = checks::solve(flow, make_request(good_rows));
  report.expect(title + ": the next solve is as before",
                after.z == before.z && after.delta_logp == before.delta_logp);
}

void check_failures(Report& report) {
  const auto flow = make_flow(cpu::engine());
  for (Control control : {Control::Batch, Control::Tile, Control::Sample}) {
    for (const char* method : {"dopri5", "rk4"}) {
      Vector rows = draw(kBatch * kSize, 5);
      rows[66 * kSize + 1] = std::numeric_limits<double>::quiet_NaN();
      SolveRequest request = make_request(rows);
      request.settings.solver.control = control;
      request.settings.solver.tableau = &tableau(method);
      request.settings.solver.steps = 4;
      expect_failure(std::string("NaN in the input, ") + method, *flow, request, 66, report);
    }
    // One attempt cannot cover the way.
    const Vector rows = draw(kBatch * kSize, 5);
    SolveRequest request = make_request(rows);
    request.settings.solver.control = control;
    request.settings.solver.rtol = request.settings.solver.atol = 1e-7;
    request.settings.solver.max_attempts = 1;
    bool failed = false;
    try {
      checks::solve(*flow, request);
    } catch (const SolveFailure& failure) {
      failed = failure.t > 0 && failure.h > 0;
    }
    report.expect("attempts run out", failed);
  }
  report.finish("failing solves");
}

void check_cancellation(Report& report) {
  const auto flow = make_flow(cpu::engine());
  const Vector rows = draw(kBatch * kSize, 5);
  for (Control control : {Control::Batch, Control::Tile, Control::Sample}) {
    std::stop_source source;
    SolveRequest request = make_request(rows);
    request.settings.solver.control = control;
    request.stop = source.get_token();
    const Solution solution = checks::solve(*flow, request);
    source.request_stop();
    const auto is_cancelled = [&](auto&& call) {
      try {
        call();
      } catch (const Error& error) {
        return error.code == ErrorCode::Cancelled;
      }
      return false;
    };
    report.expect("a solve is stopped", is_cancelled([&] { checks::solve(*flow, request); }));
    flow->zero_gradients();
    report.expect("a pullback is stopped", is_cancelled([&] {
                    checks::pull_back(*flow, solution, solution.z, Vector(kBatch, 1.0), {});
                  }));
    report.expect("which leaves the gradients alone",
                  checks::largest(read(*flow, Buffer::Gradients)) == 0);
  }
  report.finish("cancellation");
}

struct Evaluation {
  Vector f, divergence, z_bar, gradients;
};

Evaluation evaluate(Flow& flow, const VelocityRequest& request, bool with_divergence) {
  Evaluation result;
  result.f.resize(request.z.size());
  if (with_divergence) result.divergence.resize(request.batch);
  flow.velocity(request, result.f, result.divergence);
  result.z_bar.resize(request.z.size());
  flow.zero_gradients();
  const Vector f_bar = draw(request.z.size(), 8);
  const Vector divergence_bar = with_divergence ? draw(request.batch, 9) : Vector();
  flow.velocity_pullback(request, f_bar, divergence_bar, true, result.z_bar);
  result.gradients = read(flow, Buffer::Gradients);
  return result;
}

void check_velocity(Report& report) {
  const Vector z = draw(kBatch * kSize, 6);
  Vector times = draw(kBatch, 7);
  for (double& t : times) t = static_cast<float>(0.5 + 0.1 * t);
  for (LayerKind layer : {LayerKind::ConcatSquash, LayerKind::Blend, LayerKind::Concat})
    for (const bool own_times : {false, true})
      for (const bool with_divergence : {true, false}) {
        VelocityRequest request;
        request.z = z;
        request.batch = kBatch;
        request.times = own_times ? times : Vector{times[0]};
        request.trace.mode = TraceMode::Hutchinson;
        const auto flow = make_flow(cpu::engine(), layer),
                   exact = make_flow(reference::engine(), layer);
        const Evaluation mine = evaluate(*flow, request, with_divergence);
        const Evaluation truth = evaluate(*exact, request, with_divergence);
        const std::string title =
            std::string(name_of(layer)) + (own_times ? ", a t a row, " : ", ");
        report.expect(title + "f", checks::relative_error(mine.f, truth.f, 0), 1e-5);
        report.expect(title + "divergence",
                      checks::relative_error(mine.divergence, truth.divergence, 1), 1e-5);
        report.expect(title + "z_bar", checks::relative_error(mine.z_bar, truth.z_bar, 0), 1e-5);
        report.expect(title + "gradients",
                      checks::relative_error(mine.gradients, truth.gradients, 0), 1e-5);
      }
  report.finish("velocity");
}

void check_memory(Report& report) {
#if defined(__GLIBC__)
  // One thread, as every thread allocates from an arena of its own.
  const auto flow = make_flow(cpu::engine(), LayerKind::ConcatSquash, 1);
  const Vector rows = draw(kBatch * kSize, 5);
  const auto iterate = [&](int iterations) {
    for (int i = 0; i < iterations; ++i)
      for (Control control : {Control::Batch, Control::Tile, Control::Sample}) {
        SolveRequest request = make_request(rows);
        request.settings.solver.control = control;
        const Solution solution = checks::solve(*flow, request);
        checks::pull_back(*flow, solution, solution.z, Vector(kBatch, 1.0), {});
      }
    const auto info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
  };
  // The smallest leak is 16 bytes a solve; the allocator itself wavers by about 2 kB.
  constexpr int kIterations = 600, kControls = 3;
  const double before = iterate(100);
  report.expect("bytes in use grow over 600 iterations", iterate(kIterations) - before,
                8 * kControls * kIterations);
  report.finish("memory");
#endif
}

}  // namespace

int main() {
  Report report;
  try {
    check_failures(report);
    check_cancellation(report);
    check_velocity(report);
    check_memory(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
