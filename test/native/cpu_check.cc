// Solves of the float32 engine against those of the reference at equal settings; and what must hold
// bit for bit: any number of threads, batches cut in any way, flows side by side.
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/tableau.h"
#include "cpu/cpu_engine.h"
#include "flow_case.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Gradient;
using checks::Report;
using checks::Solution;
using checks::Vector;

constexpr std::size_t kBatch = 203, kSize = 3;  // seven tiles of 32 rows, the last one ragged
constexpr double kValueTolerance = 2e-5, kGradientTolerance = 3e-4;

// Two blocks around a batch norm. Equal weights on every engine; large enough to make steps differ.
std::unique_ptr<Flow> make_flow(const Engine& engine, int threads = 0) {
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net.hidden = {48, 40, 48};
  auto flow = engine.create({{kSize}, {cnf, BatchNorm{}, cnf}}, 3, {threads});
  Vector parameters(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, parameters);
  for (const Parameter& parameter : flow->layout().parameters)
    if (parameter.role == Role::Weight)
      for (std::size_t i = 0; i < parameter.size; ++i) parameters[parameter.offset + i] *= 1.75;
  flow->write(Buffer::Parameters, parameters);
  return flow;
}

const Vector& rows() {
  static const Vector values = [] {
    std::mt19937_64 generator(1);
    Vector drawn = checks::normals(kBatch * kSize, generator, 1.2);
    for (double& value : drawn) value = static_cast<float>(value);
    return drawn;
  }();
  return values;
}

SolveRequest make_request(const std::string& method = "dopri5") {
  SolveRequest request;
  request.batch = kBatch;
  request.rows = rows();
  request.keep_tape = true;
  request.settings.trace.mode = TraceMode::Hutchinson;
  SolverOptions& solver = request.settings.solver;
  solver.tableau = &tableau(method);
  solver.rtol = solver.atol = 1e-5;
  solver.steps = 8;
  return request;
}

Gradient gradient_of(Flow& flow, const Solution& solution) {
  Vector z_bar = solution.z;
  const double share = 1.0 / static_cast<double>(solution.delta_logp.size());
  for (double& value : z_bar) value *= share;
  return checks::pull_back(flow, solution, z_bar, Vector(solution.delta_logp.size(), share),
                           Vector(solution.regularisers.size(), 0.3 * share));
}

double attempts(const SolveStatistics& statistics) {
  return statistics.accepted + statistics.rejected;
}

void compare(const std::string& title, const SolveRequest& request, double value_tolerance,
             double gradient_tolerance, Report& report) {
  const auto ours = make_flow(cpu::engine(), 2), exact = make_flow(reference::engine());
  const Solution solution = checks::solve(*ours, request), truth = checks::solve(*exact, request);
  report.expect(title + " z", checks::relative_error(solution.z, truth.z, 1), value_tolerance);
  report.expect(title + " delta_logp",
                checks::relative_error(solution.delta_logp, truth.delta_logp, 1), value_tolerance);
  report.expect(title + " regularisers",
                checks::relative_error(solution.regularisers, truth.regularisers, 1),
                value_tolerance);
  const SolveStatistics &counts = solution.result.statistics, &right = truth.result.statistics;
  report.expect(title + " attempts", std::abs(attempts(counts) - attempts(right)), 2.5);

  const Gradient gradient = gradient_of(*ours, solution), wanted = gradient_of(*exact, truth);
  report.expect(title + " rows_bar", checks::relative_error(gradient.rows, wanted.rows, 0),
                gradient_tolerance);
  for (const Parameter& parameter : ours->layout().parameters) {
    const auto part = [&](const Vector& values) {
      const auto first = values.begin() + parameter.offset;
      return Vector(first, first + parameter.size);
    };
    report.expect(title + " " + parameter.name,
                  checks::relative_error(part(gradient.parameters), part(wanted.parameters), 1e-2),
                  gradient_tolerance);
  }
  report.expect(title + " backward evaluations",
                std::abs(gradient.statistics.evaluations - wanted.statistics.evaluations),
                2.5 * request.settings.solver.tableau->stages);
}

void check_against_reference(Report& report) {
  for (const Tableau& method : tableaus())
    for (Direction direction : {Direction::Forward, Direction::Reverse}) {
      SolveRequest request = make_request(std::string(method.name));
      request.direction = direction;
      request.settings.regularisers = {"kinetic", "jacobian"};
      const bool forward = direction == Direction::Forward;
      compare(std::string(method.name) + (forward ? " forward" : " reverse"), request,
              kValueTolerance, kGradientTolerance, report);
    }
  report.finish("methods, both directions");

  for (Control control : {Control::Tile, Control::Sample})
    for (const Tableau& method : tableaus()) {
      if (!method.adaptive) continue;
      // Rounding moves some of many steps, so they agree to the tolerance of the steps only.
      SolveRequest request = make_request(std::string(method.name));
      request.settings.regularisers = {"kinetic", "jacobian"};
      request.settings.solver.control = control;
      const std::string name(method.name);
      const bool tile = control == Control::Tile;
      compare(name + (tile ? " tile control" : " sample control"), request, 2e-4, 3e-3, report);
    }
  report.finish("rows and tiles that step apart");

  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    SolveRequest request = make_request();
    request.direction = direction;
    request.settings.solver.rtol = request.settings.solver.atol = 1e-6;
    for (Control control : {Control::Tile, Control::Sample}) {
      request.settings.solver.control = control;
      compare("rows that step apart", request, 1e-4, 1e-3, report);
    }
    request.settings.solver.control = Control::Batch;
    request.settings.regularisers = {"kinetic", "jacobian"};
    request.settings.gradient.method = GradientMethod::Adjoint;
    for (AdjointNorm norm : {AdjointNorm::Seminorm, AdjointNorm::Full}) {
      request.settings.gradient.norm = norm;
      compare(norm == AdjointNorm::Full ? "adjoint, full norm" : "adjoint", request,
              kValueTolerance, 1e-3, report);
    }
    request.settings.solver.tableau = &tableau("rk4");
    compare("adjoint, rk4", request, kValueTolerance, kGradientTolerance, report);
  }
  report.finish("sample control and adjoint");

  SolveRequest request = make_request();
  for (TraceMode mode : {TraceMode::Auto, TraceMode::Exact}) {
    request.settings.trace.mode = mode;
    compare("exact trace", request, kValueTolerance, kGradientTolerance, report);
  }
  request.settings.trace = {TraceMode::Hutchinson, NoiseLaw::Rademacher, 2, TraceForm::Vjp};
  compare("two probes", request, kValueTolerance, kGradientTolerance, report);
  report.finish("forms of the trace");
}

void check_torchdiffeq(Report& report) {
  for (double tolerance : {1e-3, 1e-5, 1e-6}) {
    SolveRequest request = make_request();
    request.settings.solver.controller = Controller::Torchdiffeq;
    request.settings.solver.rtol = request.settings.solver.atol = tolerance;
    const auto ours = make_flow(cpu::engine()), exact = make_flow(reference::engine());
    const SolveStatistics counts = checks::solve(*ours, request).result.statistics;
    const SolveStatistics right = checks::solve(*exact, request).result.statistics;
    report.expect("evaluations", counts.evaluations == 2 * 2 + 6 * attempts(counts));  // two blocks
    report.expect("attempts", std::abs(attempts(counts) - attempts(right)), 2.5);
    for (GradientMethod method : {GradientMethod::Checkpoint, GradientMethod::Adjoint}) {
      request.settings.gradient.method = method;
      // Rounding moves the end within the last step, and with it the interpolant's error.
      compare("torchdiffeq", request, std::max(1e-4, 10 * tolerance),
              std::max(1e-3, 30 * tolerance), report);
    }
  }
  report.finish("torchdiffeq");
}

struct Trajectory {
  Vector z, delta_logp;
  Solution solution;
};

Trajectory trajectory_of(Flow& flow, const SolveRequest& request) {
  Trajectory result;
  result.z.resize(request.times.size() * kBatch * kSize);
  result.delta_logp.resize(request.times.size() * kBatch);
  result.solution.z.resize(kBatch * kSize);
  result.solution.delta_logp.resize(kBatch);
  SolveOutput output;
  output.z = result.solution.z;
  output.delta_logp = result.solution.delta_logp;
  output.trajectory = result.z;
  output.trajectory_delta_logp = result.delta_logp;
  result.solution.result = flow.solve(request, output);
  return result;
}

void check_stops(Report& report) {
  const auto ours = make_flow(cpu::engine(), 2), exact = make_flow(reference::engine());
  SolveRequest request = make_request();
  request.settings.solver.rtol = request.settings.solver.atol = 1e-6;
  for (const bool reverse : {false, true})
    for (const char* kind : {"batch", "tile", "sample", "heun by row", "torchdiffeq", "rk4"}) {
      request.direction = reverse ? Direction::Reverse : Direction::Forward;
      const double end = 2 * std::pow(static_cast<float>(std::sqrt(0.7)), 2);
      request.times = {0, 0.1, 0.1, 0.5, 0.9, end};
      if (reverse) request.times = {end, 1.0, 1.0, 0.8, 0.2, 0};
      SolverOptions& solver = request.settings.solver;
      const std::string name = kind;
      solver.control = name == "tile"                              ? Control::Tile
                       : name == "sample" || name == "heun by row" ? Control::Sample
                                                                   : Control::Batch;
      solver.controller = name == "torchdiffeq" ? Controller::Torchdiffeq : Controller::Pi;
      solver.tableau = &tableau(name == "rk4"           ? "rk4"
                                : name == "heun by row" ? "adaptive_heun"
                                                        : "dopri5");
      solver.steps = 30;
      const Trajectory mine = trajectory_of(*ours, request);
      const Trajectory truth = trajectory_of(*exact, request);
      report.expect(std::string(kind) + " stops", checks::relative_error(mine.z, truth.z, 1), 1e-4);
      report.expect(std::string(kind) + " stops, delta_logp",
                    checks::relative_error(mine.delta_logp, truth.delta_logp, 1), 1e-4);
      const std::size_t size = kBatch * kSize;
      report.expect("the first stop is the input",
                    Vector(mine.z.begin(), mine.z.begin() + size) == rows());
      report.expect("the last stop is the output",
                    Vector(mine.z.end() - size, mine.z.end()) == mine.solution.z);
    }
  report.finish("stops on the way");
}

void check_adjoint_against_checkpoint(Report& report) {
  const auto flow = make_flow(cpu::engine());
  SolveRequest request = make_request();
  request.settings.solver.rtol = request.settings.solver.atol = 1e-7;
  request.settings.regularisers = {"kinetic"};
  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    request.direction = direction;
    request.settings.gradient.method = GradientMethod::Checkpoint;
    const Gradient checkpoint = gradient_of(*flow, checks::solve(*flow, request));
    request.settings.gradient.method = GradientMethod::Adjoint;
    const Gradient adjoint = gradient_of(*flow, checks::solve(*flow, request));
    report.expect("rows_bar", checks::relative_error(adjoint.rows, checkpoint.rows, 0), 1e-4);
    report.expect("gradients", checks::relative_error(adjoint.parameters, checkpoint.parameters, 0),
                  1e-4);
  }
  report.finish("adjoint against checkpoint");
}

// All that a solve and its pullback return.
Vector everything(Flow& flow, const SolveRequest& request) {
  const Solution solution = checks::solve(flow, request);
  const Gradient gradient = gradient_of(flow, solution);
  Vector all = solution.z;
  for (const Vector* part :
       {&solution.delta_logp, &solution.regularisers, &gradient.rows, &gradient.parameters})
    all.insert(all.end(), part->begin(), part->end());
  all.push_back(solution.result.statistics.evaluations);
  all.push_back(gradient.statistics.evaluations);
  return all;
}

std::vector<SolveRequest> requests_of_every_kind() {
  std::vector<SolveRequest> requests;
  SolveRequest request = make_request();
  request.settings.regularisers = {"kinetic", "jacobian"};
  requests.push_back(request);
  request.settings.solver.control = Control::Tile;
  requests.push_back(request);
  request.settings.solver.control = Control::Sample;
  requests.push_back(request);
  request.direction = Direction::Reverse;
  requests.push_back(request);
  request.settings.solver.control = Control::Batch;
  request.settings.gradient = {GradientMethod::Adjoint, AdjointNorm::Seminorm};
  requests.push_back(request);
  request.settings.gradient.norm = AdjointNorm::Full;
  requests.push_back(request);
  return requests;
}

void check_threads(Report& report) {
  const auto alone = make_flow(cpu::engine(), 1);
  for (const SolveRequest& request : requests_of_every_kind()) {
    const Vector expected = everything(*alone, request);
    for (int threads : {2, 3, 5})
      report.expect(std::to_string(threads) + " threads, bit for bit",
                    everything(*make_flow(cpu::engine(), threads), request) == expected);
    report.expect("twice, bit for bit", everything(*alone, request) == expected);
    Vector more = rows();
    more.insert(more.end(), rows().begin(), rows().end());
    SolveRequest larger = request;
    larger.rows = more;
    larger.batch = 2 * kBatch;
    everything(*alone, larger);
    report.expect("after a larger batch, bit for bit", everything(*alone, request) == expected);
  }
  report.finish("threads");

  const SolveRequest request = make_request();
  const Vector expected = everything(*alone, request);
  std::vector<std::thread> callers;
  std::vector<int> right(3, 1);
  for (int& same : right)
    callers.emplace_back([&same, &request, &expected] {
      const auto flow = make_flow(cpu::engine(), 2);
      for (int round = 0; round < 5; ++round)
        if (everything(*flow, request) != expected) same = 0;
    });
  for (std::thread& caller : callers) caller.join();
  for (int same : right) report.expect("flows side by side, bit for bit", same == 1);
  report.finish("flows side by side");
}

// The gradient of Σ ½‖z‖² + Δlogp over rows.
Gradient gradient_of_sum(Flow& flow, const Solution& solution) {
  return checks::pull_back(flow, solution, solution.z, Vector(solution.delta_logp.size(), 1.0),
                           Vector(solution.regularisers.size(), 0.3));
}

// With fixed steps, and with steps of its own, a row knows nothing of the others.
void check_cuts(const SolveRequest& request, Report& report) {
  const auto flow = make_flow(cpu::engine(), 2);
  const Solution whole = checks::solve(*flow, request);
  const Vector whole_bar = gradient_of_sum(*flow, whole).rows;
  for (std::size_t first = 0;
       std::size_t count : std::initializer_list<std::size_t>{1, 31, 32, 33, 106}) {
    const Vector part(rows().begin() + first * kSize, rows().begin() + (first + count) * kSize);
    SolveRequest cut = request;
    cut.rows = part;
    cut.batch = count;
    cut.noise.row_offset = static_cast<std::uint32_t>(first);
    const Solution solution = checks::solve(*flow, cut);
    const Vector bar = gradient_of_sum(*flow, solution).rows;
    const auto is_part = [](const Vector& part, const Vector& all, std::size_t at) {
      return std::equal(part.begin(), part.end(), all.begin() + at);
    };
    report.expect("a part of the batch, bit for bit",
                  is_part(solution.z, whole.z, first * kSize) &&
                      is_part(solution.delta_logp, whole.delta_logp, first) &&
                      is_part(solution.regularisers, whole.regularisers,
                              first * request.settings.regularisers.count()));
    report.expect("and its cotangents", is_part(bar, whole_bar, first * kSize));
    first += count;
  }
  report.finish("batches cut in any way");
}

}  // namespace

int main() {
  Report report;
  try {
    check_against_reference(report);
    check_torchdiffeq(report);
    check_stops(report);
    check_adjoint_against_checkpoint(report);
    check_threads(report);
    check_cuts(make_request("rk4"), report);
    for (const Tableau& method : tableaus()) {
      SolveRequest request = make_request(std::string(method.name));
      request.settings.regularisers = {"kinetic", "jacobian"};
      request.settings.solver.control = Control::Sample;
      if (method.adaptive) check_cuts(request, report);
    }
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
