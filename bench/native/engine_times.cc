// Times of the CPU engine without the binding, one JSON line a measurement: evaluations of
// (f, divergence) with and without gradients, and the log-density of one row; on one thread with
// the core's rate of fused multiply-adds in the same seconds, as its clock moves.
//   engine_times SECONDS THREADS...
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "binding/multiply_add.h"
#include "core/engine.h"
#include "core/tableau.h"
#include "cpu/cpu_engine.h"
#include "cpu/tile_net.h"

namespace ffjord {
namespace {

double now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Timing {
  double best = 0, median = 0;
  double peak = 0;  ///< GFLOP/s of fused multiply-adds, measured between the samples
};

/// Seconds a call: CPU time of the process on one thread, wall time on several.
Timing measure(const std::function<void()>& call, double seconds, int threads) {
  const clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
  for (int i = 0; i < 3; ++i) call();
  double started = now(clock);
  call();
  // Long enough a sample for the clock, short enough that some samples run undisturbed.
  const int inner = std::max(1, static_cast<int>(2e-4 / std::max(1e-9, now(clock) - started)));
  static const MultiplyAdd multiply_add = loop_of(cpu::instruction_sets().front());
  double peak = 0;
  std::vector<double> samples;
  const double deadline = now(CLOCK_MONOTONIC) + seconds;
  while (samples.size() < 5 || now(CLOCK_MONOTONIC) < deadline) {
    started = now(clock);
    for (int i = 0; i < inner; ++i) call();
    samples.push_back((now(clock) - started) / inner);
    if (threads > 1) continue;
    started = now(clock);
    const double operations = multiply_add(0.5f);
    peak = std::max(peak, 1e-9 * operations / (now(clock) - started));
  }
  std::sort(samples.begin(), samples.end());
  return {samples.front(), samples[samples.size() / 2], peak};
}

struct Case {
  std::vector<int> widths;  ///< data, hidden …, data
  LayerKind layer;
  Activation activation;
  std::vector<std::size_t> batches;

  /// Σ: entries of the weight matrices, the time column of `concat` left out.
  double matrix_entries() const {
    double sum = 0;
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) sum += 1.0 * widths[l] * widths[l + 1];
    return sum;
  }

  std::string name() const {
    std::string text;
    for (int width : widths) text += (text.empty() ? "" : "-") + std::to_string(width);
    return text;
  }

  FlowDescription description() const {
    Cnf cnf;
    cnf.time = 1;
    cnf.net.hidden.assign(widths.begin() + 1, widths.end() - 1);
    cnf.net.layer = layer;
    cnf.net.activation = activation;
    return {{widths.front()}, {cnf}};
  }
};

/// Repeatable values in (−1.7, 1.7), of variance about 1.
std::vector<float> values(std::size_t count) {
  std::vector<float> result(count);
  std::uint32_t state = 1;
  for (float& value : result) {
    state = state * 1664525u + 1013904223u;
    value = 3.46f * (static_cast<float>(state >> 8) / 16777216.0f - 0.5f);
  }
  return result;
}

void print(const Case& net, const char* task, std::size_t batch, int threads, double flops,
           const Timing& timing) {
  std::printf(
      "{\"net\":\"%s\",\"layer\":\"%s\",\"activation\":\"%s\",\"task\":\"%s\",\"batch\":%zu,"
      "\"threads\":%d,\"flops\":%.0f,\"best\":%.9g,\"median\":%.9g,\"peak\":%.9g}\n",
      net.name().c_str(), std::string(name_of(net.layer)).c_str(),
      std::string(name_of(net.activation)).c_str(), task, batch, threads, flops, timing.best,
      timing.median, timing.peak);
  std::fflush(stdout);
}

void measure_evaluations(const Engine& engine, const Case& net, int threads, double seconds) {
  const auto flow = engine.create(net.description(), 0, {threads});
  for (std::size_t batch : net.batches) {
    const std::size_t size = batch * static_cast<std::size_t>(net.widths.front());
    const std::vector<float> z = values(size);
    std::vector<float> f(size), divergence(batch), z_bar(size);
    const std::vector<float> divergence_bar(batch, 1.0f);
    VelocityRequest request;
    request.times = {0.3};
    request.batch = batch;
    request.z = z;
    request.noise.given = {z};
    request.trace.mode = TraceMode::Hutchinson;

    const double flops = 4 * net.matrix_entries() * static_cast<double>(batch);
    print(net, "evaluate", batch, threads, flops,
          measure([&] { flow->velocity(request, f, divergence); }, seconds, threads));
    print(net, "gradient", batch, threads, 3 * flops,
          measure([&] { flow->velocity_pullback(request, z, divergence_bar, true, z_bar); },
                  seconds, threads));
  }
}

void measure_one_row(const Engine& engine, double seconds) {
  const Case net{{2, 64, 64, 64, 2}, LayerKind::ConcatSquash, Activation::Tanh, {1}};
  const auto flow = engine.create(net.description(), 0, {1});
  const std::vector<float> row = values(2);
  std::vector<float> z(2), delta_logp(1);
  SolveRequest request;
  request.batch = 1;
  request.rows = row;
  request.settings.solver.tableau = &tableau("dopri5");
  SolveOutput output;
  output.z = z;
  output.delta_logp = delta_logp;
  print(net, "one row", 1, 1, 0, measure([&] { flow->solve(request, output); }, seconds, 1));
}

}  // namespace
}  // namespace ffjord

int main(int count, char** arguments) {
  using namespace ffjord;
  if (count < 3) {
    std::fprintf(stderr, "usage: engine_times SECONDS THREADS...\n");
    return 2;
  }
  const double seconds = std::atof(arguments[1]);
  const Engine engine = cpu::engine();
  const std::array<Case, 3> nets{
      Case{{2, 64, 64, 64, 2}, LayerKind::Concat, Activation::Tanh, {128, 1024, 10000}},
      Case{{2, 64, 64, 64, 2}, LayerKind::ConcatSquash, Activation::Tanh, {128, 1024, 10000}},
      Case{{43, 860, 860, 43}, LayerKind::Concat, Activation::Softplus, {1000}}};
  for (int i = 2; i < count; ++i)
    for (const Case& net : nets) measure_evaluations(engine, net, std::atoi(arguments[i]), seconds);
  measure_one_row(engine, seconds);
}
