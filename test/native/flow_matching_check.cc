// Flow matching: its loss by the definition, its gradients by differences, its couplings by trying
// all.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <numeric>
#include <random>
#include <vector>

#include "core/assignment.h"
#include "core/flow_matching.h"
#include "cpu/cpu_engine.h"
#include "flow_case.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

void check_assignment(Report& report) {
  std::mt19937_64 generator(1);
  for (std::size_t n = 1; n <= 6; ++n)
    for (int round = 0; round < 20; ++round) {
      const Vector cost = checks::normals(n * n, generator);
      const auto total = [&](const std::vector<std::size_t>& column_of) {
        double sum = 0;
        for (std::size_t row = 0; row < n; ++row) sum += cost[row * n + column_of[row]];
        return sum;
      };
      std::vector<std::size_t> order(n);
      std::iota(order.begin(), order.end(), std::size_t{0});
      double least = total(order);
      while (std::next_permutation(order.begin(), order.end()))
        least = std::min(least, total(order));
      const auto found = optimal_assignment(cost, n);
      std::vector<std::size_t> sorted = found;
      std::sort(sorted.begin(), sorted.end());
      std::iota(order.begin(), order.end(), std::size_t{0});
      report.expect("every column once", sorted == order);
      report.expect("least of all", total(found) - least, 1e-12);
    }
  report.finish("assignments");
}

FlowDescription two_blocks(int context) {
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net.hidden = {6, 5};
  Cnf longer = cnf;
  longer.time = 1.3;
  return {{2}, {Standardize{{0.5, -1}, {2, 3}}, cnf, longer}, {context, false}};
}

void check_gradients(int context_size, Report& report) {
  std::mt19937_64 generator(2);
  const std::size_t count = 20;
  auto flow = reference::engine().create(two_blocks(context_size), 3, {});
  const Vector rows = checks::normals(count * 2, generator);
  const Vector context = checks::normals(count * context_size, generator);
  const FlowMatching matching(*flow, Coupling::Independent);
  FlowMatching::Batch batch{count, rows, context, {}};
  batch.noise.seed = 5;
  Vector weights(flow->layout().parameter_count), gradients(weights.size());
  flow->read(Buffer::Parameters, weights);
  flow->zero_gradients();
  const double loss = matching.loss(*flow, batch, 0.5);
  flow->read(Buffer::Gradients, gradients);
  report.expect("loss", loss > 0.1 && loss < 100);
  for (const BlockOffsets& block : flow->layout().blocks)
    if (block.sqrt_end_time != kAbsent)
      report.expect("end times have no gradient", gradients[block.sqrt_end_time] == 0);

  Vector direction = checks::normals(weights.size(), generator);
  for (const BlockOffsets& block : flow->layout().blocks)
    if (block.sqrt_end_time != kAbsent) direction[block.sqrt_end_time] = 0;
  const auto moved = [&](double step) {
    Vector at = weights;
    for (std::size_t i = 0; i < at.size(); ++i) at[i] += step * direction[i];
    flow->write(Buffer::Parameters, at);
    return matching.loss(*flow, batch);
  };
  const double difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
  report.expect("gradients",
                std::abs(2 * checks::dot(gradients, direction) - difference) / std::abs(difference),
                1e-7);
  report.finish(context_size ? "gradients, with a context" : "gradients");
}

// The cpu engine regresses a tile in one pass, where the reference evaluates and pulls back.
void check_engines(Report& report) {
  std::mt19937_64 generator(11);
  const std::size_t count = 37;
  const FlowDescription description = two_blocks(3);
  const auto exact = reference::engine().create(description, 3, {});
  const auto fast = cpu::engine().create(description, 3, {2});
  const Vector rows = checks::normals(count * 2, generator);
  const Vector context = checks::normals(count * 3, generator);
  FlowMatching::Batch batch{count, rows, context, {}};
  batch.noise.seed = 5;
  Vector losses;
  std::vector<Vector> gradients;
  for (Flow* flow : {exact.get(), fast.get()}) {
    flow->zero_gradients();
    losses.push_back(FlowMatching(*flow, Coupling::Independent).loss(*flow, batch, 0.5));
    gradients.emplace_back(flow->layout().parameter_count);
    flow->read(Buffer::Gradients, gradients.back());
  }
  report.expect("loss", std::abs(losses[1] / losses[0] - 1), 1e-5);
  report.expect("gradients", checks::relative_error(gradients[1], gradients[0], 1e-3), 1e-5);
  report.finish("cpu and reference");
}

// With f = 0 the loss is the mean of ‖x₁ − x₀‖², and an optimal coupling lowers it.
void check_loss(Report& report) {
  Cnf cnf;
  cnf.net.hidden = {};
  cnf.net.layer = LayerKind::Ignore;
  auto flow = reference::engine().create({{3}, {cnf}, {}}, 1, {});
  Vector weights(flow->layout().parameter_count);
  weights[flow->layout().blocks[0].sqrt_end_time] = 1;
  flow->write(Buffer::Parameters, weights);
  std::mt19937_64 generator(3);
  const std::size_t count = 300;
  const Vector rows = checks::normals(count * 3, generator);
  FlowMatching::Batch batch{count, rows, {}, {}};
  const double independent = FlowMatching(*flow, Coupling::Independent).loss(*flow, batch);
  const double optimal = FlowMatching(*flow, Coupling::Optimal).loss(*flow, batch);
  Vector x1(rows.size());
  fill_noise<double>(NoiseLaw::Gaussian, {0, 0, kBaseBlock, 0}, 0, 3, x1);
  double expected = 0;
  for (std::size_t i = 0; i < rows.size(); ++i)
    expected += (x1[i] - rows[i]) * (x1[i] - rows[i]) / double(count);
  // A compiler may take sin and cos together here and apart there: normals differ by a float32 ulp.
  report.expect("independent", std::abs(independent - expected), 1e-6);
  report.expect("optimal is shorter", optimal < 0.5 * independent);
  report.finish("losses");
}

void check_refusals(Report& report) {
  const auto refused = [&](const FlowDescription& description, Coupling coupling) {
    const auto flow = reference::engine().create(description, 1, {});
    try {
      FlowMatching(*flow, coupling);
    } catch (const Error& error) {
      return error.code == ErrorCode::Unsupported;
    }
    return false;
  };
  Cnf cnf, hyper;
  cnf.net.hidden = hyper.net.hidden = {4};
  hyper.net.layer = LayerKind::Hyper;
  const auto independent = Coupling::Independent;
  report.expect("a batch norm behind", refused({{2}, {cnf, BatchNorm{}}}, independent));
  report.expect("a batch norm before", refused({{2}, {BatchNorm{}, cnf}}, independent));
  report.expect("nothing to train", refused({{2}, {ZeroMean{}}}, independent));
  report.expect("hyper layers", refused({{2}, {hyper}}, independent));
  report.expect("optimal with a context", refused({{2}, {cnf}, {1, false}}, Coupling::Optimal));
  report.finish("refusals");
}

}  // namespace

int main() {
  Report report;
  try {
    check_assignment(report);
    check_gradients(0, report);
    check_gradients(2, report);
    check_engines(report);
    check_loss(report);
    check_refusals(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
