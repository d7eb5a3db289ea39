// Solves of the float64 engine: counted evaluations, rows that step apart, stops on the way, the
// way back, densities against the Jacobian's determinant, and what happens when a solve cannot go
// on.
#include <cstdio>
#include <exception>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "flow_case.h"
#include "reference/integrate.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Solution;
using checks::Vector;

constexpr std::size_t kBatch = 5, kSize = 2;

// One block, with weights of a size that makes steps differ between rows.
std::unique_ptr<Flow> make_flow() {
  Cnf cnf;
  cnf.time = 1;
  cnf.train_time = true;
  cnf.net.hidden = {16, 16};
  auto flow = reference::engine().create({{kSize}, {cnf}}, 3, {});
  Vector parameters(flow->layout().parameter_count);
  flow->read(Buffer::Parameters, parameters);
  for (const Parameter& parameter : flow->layout().parameters)
    if (parameter.role == Role::Weight)
      for (std::size_t i = 0; i < parameter.size; ++i) parameters[parameter.offset + i] *= 2;
  flow->write(Buffer::Parameters, parameters);
  return flow;
}

SolveRequest make_request() {
  static const Vector rows = [] {
    std::mt19937_64 generator(1);
    return checks::normals(kBatch * kSize, generator, 1.5);
  }();
  SolveRequest request;
  request.batch = kBatch;
  request.rows = rows;
  request.settings.trace.mode = TraceMode::Hutchinson;
  request.settings.solver.tableau = &tableau("dopri5");
  request.settings.solver.rtol = request.settings.solver.atol = 1e-6;
  return request;
}

double attempts(const SolveStatistics& statistics) {
  return statistics.accepted + statistics.rejected;
}

void check_counts(Flow& flow, Report& report) {
  for (double tolerance : {1e-2, 1e-4, 1e-6, 1e-9}) {
    SolveRequest request = make_request();
    request.settings.solver.rtol = request.settings.solver.atol = tolerance;
    for (Controller controller : {Controller::Pi, Controller::Torchdiffeq}) {
      request.settings.solver.controller = controller;
      const SolveStatistics counts = checks::solve(flow, request).result.statistics;
      report.expect("dopri5 evaluations", counts.evaluations == 2 + 6 * attempts(counts));
      report.expect("dopri5 accepts", counts.accepted >= 1);
    }
    request.settings.gradient.method = GradientMethod::Adjoint;
    request.keep_tape = true;
    const Solution solution = checks::solve(flow, request);
    const SolveStatistics backward =
        checks::pull_back(flow, solution, solution.z, Vector(kBatch, 1.0), {}).statistics;
    report.expect("adjoint evaluations, one more for the end time",
                  backward.evaluations == 3 + 6 * attempts(backward));
  }
  SolveRequest request = make_request();
  request.settings.solver.tableau = &tableau("bosh3");
  const SolveStatistics bosh3 = checks::solve(flow, request).result.statistics;
  report.expect("bosh3 evaluations", bosh3.evaluations == 2 + 3 * attempts(bosh3));
  request.settings.solver.tableau = &tableau("rk4");
  request.settings.solver.steps = 7;
  report.expect("rk4 evaluations",
                checks::solve(flow, request).result.statistics.evaluations == 4 * 7);
  report.finish("evaluation counts");
}

void check_rows_apart(Flow& flow, Report& report) {
  SolveRequest request = make_request();
  request.settings.solver.control = Control::Sample;
  const Vector rows = request.rows.given.as<double>();
  const Solution together = checks::solve(flow, request);
  double evaluations = 0, fewest = std::numeric_limits<double>::max();
  for (std::size_t row = 0; row < kBatch; ++row) {
    SolveRequest one = request;
    const Vector own(rows.begin() + row * kSize, rows.begin() + (row + 1) * kSize);
    one.rows = own;
    one.batch = 1;
    one.noise.row_offset = static_cast<std::uint32_t>(row);
    const Solution alone = checks::solve(flow, one);
    bool same = alone.delta_logp[0] == together.delta_logp[row];
    for (std::size_t i = 0; i < kSize; ++i)
      same = same && alone.z[i] == together.z[row * kSize + i];
    report.expect("a row alone is the row in a batch, bit for bit", same);
    evaluations += alone.result.statistics.evaluations;
    fewest = std::min(fewest, alone.result.statistics.evaluations);
  }
  const double mean = together.result.statistics.evaluations;
  report.expect("evaluations are means over rows", std::abs(mean - evaluations / kBatch), 1e-12);
  report.expect("rows differ in their evaluations", fewest < mean);
  report.finish("rows that step apart");
}

void check_stops(Flow& flow, Report& report) {
  SolveRequest request = make_request();
  request.settings.solver.rtol = request.settings.solver.atol = 1e-11;
  request.times = {0, 0.3, 0.3, 0.8, 1};
  const std::size_t per_time = kBatch * kSize;
  Vector trajectory(request.times.size() * per_time), z(per_time), delta_logp(kBatch);
  Vector trajectory_delta_logp(request.times.size() * kBatch);
  SolveOutput output;
  output.z = z;
  output.delta_logp = delta_logp;
  output.trajectory = trajectory;
  output.trajectory_delta_logp = trajectory_delta_logp;

  Vector parameters(flow.layout().parameter_count);
  flow.read(Buffer::Parameters, parameters);
  const auto solve_until = [&](double end_time) {
    Vector shorter = parameters;
    shorter[flow.layout().blocks[0].sqrt_end_time] = std::sqrt(end_time);
    flow.write(Buffer::Parameters, shorter);
    SolveRequest plain = request;
    plain.times.clear();
    plain.settings.solver.control = Control::Batch;
    Solution solution = checks::solve(flow, plain);
    flow.write(Buffer::Parameters, parameters);
    return solution;
  };
  for (Control control : {Control::Batch, Control::Sample}) {
    request.settings.solver.control = control;
    flow.solve(request, output);
    const auto state_at = [&](std::size_t time) {
      return Vector(trajectory.begin() + time * per_time,
                    trajectory.begin() + (time + 1) * per_time);
    };
    report.expect("the first stop is the input", state_at(0) == request.rows.given.as<double>());
    report.expect("a stop twice", state_at(1) == state_at(2));
    report.expect("the last stop is the output", state_at(4) == z);
    const Solution shorter = solve_until(0.8);
    report.expect("a stop is the end of a shorter solve",
                  checks::relative_error(state_at(3), shorter.z, 1), 1e-9);
    const Vector stop_delta_logp(trajectory_delta_logp.begin() + 3 * kBatch,
                                 trajectory_delta_logp.begin() + 4 * kBatch);
    report.expect("and its delta_logp",
                  checks::relative_error(stop_delta_logp, shorter.delta_logp, 1), 1e-9);
  }
  report.finish("stops on the way");
}

void check_way_back(Flow& flow, Report& report) {
  SolveRequest request = make_request();
  request.settings.solver.rtol = request.settings.solver.atol = 1e-11;
  request.settings.regularisers = {"kinetic", "jacobian"};
  for (Control control : {Control::Batch, Control::Sample}) {
    request.settings.solver.control = control;
    const Solution there = checks::solve(flow, request);
    SolveRequest back_request = request;
    back_request.direction = Direction::Reverse;
    back_request.rows = there.z;
    const Solution back = checks::solve(flow, back_request);
    report.expect("x → z → x", checks::relative_error(back.z, request.rows.given.as<double>(), 1),
                  1e-9);
    Vector opposite = there.delta_logp;
    for (double& value : opposite) value = -value;
    report.expect("Δlogp changes its sign", checks::relative_error(back.delta_logp, opposite, 1),
                  1e-9);
    report.expect("regularisers do not",
                  checks::relative_error(back.regularisers, there.regularisers, 1), 1e-9);
    report.expect("regularisers are positive",
                  *std::min_element(back.regularisers.begin(), back.regularisers.end()) > 0);
  }
  report.finish("the way back");
}

// −Δlogp = log |det ∂z/∂x| (Chen et al. 2018, theorem 1), the determinant by central differences.
void check_density(Flow& flow, Report& report) {
  SolveRequest request = make_request();
  request.settings.trace.mode = TraceMode::Exact;
  request.settings.solver.rtol = request.settings.solver.atol = 1e-12;
  const Vector rows = request.rows.given.as<double>();
  const Solution solution = checks::solve(flow, request);
  constexpr double step = 1e-4;
  std::vector<Vector> columns;
  for (std::size_t i = 0; i < kSize; ++i) {
    Vector up = rows, down = rows;
    for (std::size_t row = 0; row < kBatch; ++row) {
      up[row * kSize + i] += step;
      down[row * kSize + i] -= step;
    }
    request.rows = up;
    Vector column = checks::solve(flow, request).z;
    request.rows = down;
    const Vector lower = checks::solve(flow, request).z;
    for (std::size_t j = 0; j < column.size(); ++j) column[j] = (column[j] - lower[j]) / (2 * step);
    columns.push_back(column);
  }
  for (std::size_t row = 0; row < kBatch; ++row) {
    const double* first = &columns[0][row * kSize];
    const double* second = &columns[1][row * kSize];
    const double determinant = first[0] * second[1] - first[1] * second[0];
    report.expect("−Δlogp = log |det|",
                  std::abs(-solution.delta_logp[row] - std::log(std::abs(determinant))), 1e-6);
  }
  report.finish("densities");
}

template <class Call>
ErrorCode code_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code;
  }
  throw std::runtime_error("an error was expected");
}

void check_failures(Flow& flow, Report& report) {
  Vector before(flow.layout().parameter_count), after(before.size());
  flow.read(Buffer::Parameters, before);
  for (Control control : {Control::Batch, Control::Sample}) {
    SolveRequest request = make_request();
    request.settings.solver.control = control;
    Vector rows = request.rows.given.as<double>();
    rows[2 * kSize] = std::numeric_limits<double>::quiet_NaN();
    request.rows = rows;
    try {
      checks::solve(flow, request);
      report.expect("NaN is refused", false);
    } catch (const SolveFailure& failure) {
      report.expect("the failing row is named", failure.rows == std::vector<std::size_t>{2});
      report.expect("and the block", failure.block == 0);
      report.expect("and the time", failure.t == 0);
    }
  }

  SolveRequest request = make_request();
  request.settings.solver.max_attempts = 2;
  report.expect("attempts run out",
                code_of([&] { checks::solve(flow, request); }) == ErrorCode::SolveFailed);
  request.settings.solver.tableau = &tableau("euler");
  request.settings.solver.steps = 50;
  report.expect("equal steps have no limit of attempts",
                checks::solve(flow, request).result.statistics.accepted == 50);

  request = make_request();
  std::stop_source source;
  source.request_stop();
  request.stop = source.get_token();
  report.expect("a stop is heard",
                code_of([&] { checks::solve(flow, request); }) == ErrorCode::Cancelled);

  request = make_request();
  request.settings.solver.control = Control::Sample;
  request.settings.gradient.method = GradientMethod::Adjoint;
  request.keep_tape = true;
  report.expect("the adjoint of rows that step apart",
                code_of([&] { checks::solve(flow, request); }) == ErrorCode::Unsupported);

  request = make_request();
  request.settings.solver.tableau = &tableau("bosh3");
  request.settings.solver.controller = Controller::Torchdiffeq;
  report.expect("torchdiffeq's controller with another method",
                code_of([&] { checks::solve(flow, request); }) == ErrorCode::Unsupported);

  // Weights so large that the state leaves the numbers.
  Vector huge = before;
  for (double& value : huge) value *= 1e200;
  huge[flow.layout().blocks[0].sqrt_end_time] = 1;
  flow.write(Buffer::Parameters, huge);
  report.expect("overflow",
                code_of([&] { checks::solve(flow, make_request()); }) == ErrorCode::SolveFailed);
  flow.write(Buffer::Parameters, before);
  flow.read(Buffer::Parameters, after);
  report.expect("the weights are as they were", before == after);
  report.finish("solves that cannot go on");
}

// y₁' = y₁ cos t, y₂' = −y₂³/2, which have closed solutions, in equal steps: the largest error at
// the end, and at times within steps.
struct EqualSteps {
  double at_end = 0, between = 0, evaluations = 0;
};

EqualSteps solve_in_equal_steps(Tableau method, int steps) {
  method.adaptive = false;
  constexpr double kEnd = 3;
  const auto error_at = [](double t, reference::View y) {
    return std::max(std::abs(y[0] - std::exp(std::sin(t))), std::abs(y[1] - 1 / std::sqrt(1 + t)));
  };
  const reference::System system{
      2, 1, {{0, 1, 2, true}}, [](double t, reference::View y, reference::Target rate) {
        rate[0] = y[0] * std::cos(t);
        rate[1] = -y[1] * y[1] * y[1] / 2;
      }};
  SolverOptions options;
  options.tableau = &method;
  options.steps = steps;

  EqualSteps found;
  Vector times;
  for (int i = 0; i < 10 * steps; ++i) times.push_back(kEnd * (i + 0.37) / (10 * steps));
  reference::Watch watch;
  watch.times = times;
  watch.on_time = [&](std::size_t index, reference::View y) {
    found.between = std::max(found.between, error_at(times[index], y));
  };
  Vector y = {1, 1};
  SolveStatistics statistics;
  reference::integrate(system, options, {}, 0, kEnd, y, watch, statistics);
  found.at_end = error_at(kEnd, y);
  found.evaluations = statistics.evaluations;
  return found;
}

void check_orders(Report& report) {
  for (const Tableau& method : tableaus()) {
    const int steps = method.order == 8 ? 12 : 40;
    const EqualSteps coarse = solve_in_equal_steps(method, steps),
                     fine = solve_in_equal_steps(method, 2 * steps);
    const std::string name(method.name);
    const double order = std::log2(coarse.at_end / fine.at_end);
    report.expect(name + " converges with its order", std::abs(order - method.order), 0.6);
    const double dense_order = std::log2(coarse.between / fine.between);
    const int expected = std::min(method.order, method.dense_order + 1);
    report.expect(name + " converges between steps", std::max(0.0, expected - dense_order), 0.6);
    // Ten times in every step ask for f at the end of the last one alone.
    const int per_step = method.fsal ? method.stages - 1 : method.stages;
    report.expect(name + " spends nothing on times within steps",
                  fine.evaluations == 2 * steps * per_step + 1);
  }
  report.finish("convergence orders");
}

}  // namespace

int main() {
  Report report;
  try {
    const auto flow = make_flow();
    check_orders(report);
    check_counts(*flow, report);
    check_rows_apart(*flow, report);
    check_stops(*flow, report);
    check_way_back(*flow, report);
    check_density(*flow, report);
    check_failures(*flow, report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
