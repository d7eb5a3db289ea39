// Sums that do not care who adds: how a batch is cut into slots, and that 2, 4 or 8 processes which
// take a share of it each and add their losses and gradients in pairs get the bits of one.
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "core/objectives.h"
#include "core/slots.h"
#include "core/tableau.h"
#include "cpu/cpu_engine.h"
#include "flow_case.h"
#include "reference/reference_engine.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

constexpr std::size_t kSize = 3, kContext = 4;

void check_cuts(Report& report) {
  for (const std::size_t batch : {1, 31, 33, 64, 65, 100, 333, 512, 1000, 4097})
    for (const std::size_t count : {1, 2, 4, 8, 16}) {
      const std::string title = std::to_string(batch) + " rows in " + std::to_string(count);
      const auto runs = cut_rows(batch, count), halves = cut_rows(batch, 2 * count);
      report.expect(title + ", as many", runs.size() == count);
      std::size_t end = 0;
      for (std::size_t i = 0; i < runs.size(); ++i) {
        report.expect(title + ", one behind the other", runs[i].first == end);
        end = runs[i].end;
        report.expect(title + ", whole tiles", end == batch || end % kSmallTile == 0);
        report.expect(title + ", each two of twice as many",
                      halves[2 * i].first == runs[i].first && halves[2 * i + 1].end == end);
      }
      report.expect(title + ", all rows", end == batch);
    }
  for (const std::size_t batch : {40, 333, 1000, 5000}) {
    const Slots slots(batch);
    report.expect("slots are as many as small tiles at most",
                  slots.count() <= (batch + kSmallTile - 1) / kSmallTile);
    for (const std::size_t processes : {2, 4, 8}) {
      std::size_t found = 0;
      for (const RowRange& own : cut_rows(batch, processes))
        for (const auto& [first, end] : Slots(own.end - own.first, {own.first, batch})) {
          report.expect(
              "a process has the slots of the whole batch",
              slots[found].first == own.first + first && slots[found].end == own.first + end);
          ++found;
        }
      report.expect("the slots of all processes", found == slots.count());
      if (slots.count() < processes) break;
    }
  }
  report.finish("batches are cut into slots");
}

// What one process gets of its rows.
struct Part {
  double negative_log_prob = 0;
  Vector regularisers;
  Vector gradients, rows_bar, context_bar;
};

// Gradients are added as the engine computes, in float32 or float64.
Part join(const Engine& engine, Part a, const Part& b) {
  a.negative_log_prob += b.negative_log_prob;
  for (std::size_t i = 0; i < a.regularisers.size(); ++i) a.regularisers[i] += b.regularisers[i];
  for (std::size_t i = 0; i < a.gradients.size(); ++i) {
    const double sum = a.gradients[i] + b.gradients[i];
    a.gradients[i] = engine.float64 ? sum : static_cast<float>(sum);
  }
  a.rows_bar.insert(a.rows_bar.end(), b.rows_bar.begin(), b.rows_bar.end());
  a.context_bar.insert(a.context_bar.end(), b.context_bar.begin(), b.context_bar.end());
  return a;
}

Part join_in_pairs(const Engine& engine, std::vector<Part> parts) {
  while (parts.size() > 1) {
    std::vector<Part> pairs;
    for (std::size_t i = 0; i < parts.size(); i += 2)
      pairs.push_back(join(engine, parts[i], parts[i + 1]));
    parts = std::move(pairs);
  }
  return parts.front();
}

// A batch of `whole` rows, of which a process has some.
struct Batch {
  SolveRequest request;
  std::vector<float> rows, context;
  std::size_t size() const { return rows.size() / kSize; }
};

Part part_of(Flow& flow, const Batch& batch, const RowRange& range, const BatchShare& share) {
  SolveRequest request = batch.request;
  request.batch = range.end - range.first;
  request.share = share;
  const std::span<const float> rows = batch.rows, context = batch.context;
  request.rows = rows.subspan(range.first * kSize, request.batch * kSize);
  if (!context.empty())
    request.context = context.subspan(range.first * kContext, request.batch * kContext);
  request.noise.row_offset = static_cast<std::uint32_t>(range.first);
  Part part;
  part.rows_bar.resize(request.batch * kSize);
  if (!context.empty()) part.context_bar.resize(request.batch * kContext);
  part.gradients.resize(flow.layout().parameter_count);
  const RegulariserWeights weights(request.settings.regularisers.count(), 0.1);
  const LossReport report = loss(flow, request, weights, part.rows_bar, part.context_bar);
  part.negative_log_prob = report.negative_log_prob;
  part.regularisers = report.regularisers;
  flow.read(Buffer::Gradients, part.gradients);
  return part;
}

void expect_the_same(const std::string& title, const Part& ours, const Part& whole,
                     Report& report) {
  report.expect(title + " loss", ours.negative_log_prob == whole.negative_log_prob);
  report.expect(title + " regularisers", ours.regularisers == whole.regularisers);
  report.expect(title + " gradients", ours.gradients == whole.gradients);
  report.expect(title + " rows_bar", ours.rows_bar == whole.rows_bar);
  report.expect(title + " context_bar", ours.context_bar == whole.context_bar);
}

struct Case {
  std::string title;
  Net net;
  bool context = false, batch_norm = false;
  Control control = Control::Sample;
  std::string method = "dopri5";
  TraceMode trace = TraceMode::Exact;
  std::size_t batch = 500;
  std::size_t processes = 8;  // at most
};

Case a_case(std::string title, std::vector<int> hidden, LayerKind layer, Control control) {
  Case one;
  one.title = std::move(title);
  one.net.hidden = std::move(hidden);
  one.net.layer = layer;
  one.control = control;
  return one;
}

void check_processes(const Engine& engine, const Case& one, Report& report) {
  Cnf cnf;
  cnf.time = 0.7;
  cnf.train_time = true;
  cnf.net = one.net;
  FlowDescription description{{kSize}, {cnf, cnf}, {}};
  if (one.batch_norm) description.blocks = {BatchNorm{}, cnf, BatchNorm{}, cnf};
  if (one.context) description.context = {int(kContext), one.net.layer == LayerKind::ConcatSquash};

  std::mt19937_64 generator(one.batch);
  const auto floats = [&](std::size_t count) {
    const Vector drawn = checks::normals(count, generator);
    return std::vector<float>(drawn.begin(), drawn.end());
  };
  Batch batch;
  batch.rows = floats(one.batch * kSize);
  if (one.context) batch.context = floats(one.batch * kContext);
  batch.request.training = true;
  batch.request.settings.trace = {one.trace, NoiseLaw::Rademacher, 1, TraceForm::Tangent};
  batch.request.settings.regularisers = {"kinetic"};
  SolverOptions& solver = batch.request.settings.solver;
  solver.tableau = &tableau(one.method);
  solver.rtol = solver.atol = 1e-3;
  solver.steps = 70;  // more than a long solve's parts
  solver.control = one.control;

  const auto flow = engine.create(description, 5, {1});
  const Part whole = part_of(*flow, batch, {0, one.batch}, {});
  const auto threaded = engine.create(description, 5, {3});
  expect_the_same(one.title + ", threads", part_of(*threaded, batch, {0, one.batch}, {}), whole,
                  report);
  for (std::size_t processes = 2; processes <= one.processes; processes *= 2) {
    std::vector<Part> parts;
    for (const RowRange& own : cut_rows(one.batch, processes))
      parts.push_back(part_of(*flow, batch, own, {own.first, one.batch}));
    expect_the_same(one.title + ", " + std::to_string(processes) + " processes",
                    join_in_pairs(engine, std::move(parts)), whole, report);
  }
}

void check_engine(const Engine& engine, Report& report) {
  for (const Control control : {Control::Sample, Control::Tile}) {
    const std::string name = control == Control::Sample ? "sample" : "tile";
    // Closed forms of the trace with and without gates, tangents, and what every layer keeps for
    // last.
    for (const auto& [title, layer] : {std::pair{"concat", LayerKind::Concat},
                                       std::pair{"concatsquash", LayerKind::ConcatSquash},
                                       std::pair{"blend", LayerKind::Blend}}) {
      Case one = a_case(name + ", " + title, {11, 9}, layer, control);
      check_processes(engine, one, report);
      one.context = true;
      one.title += ", context";
      check_processes(engine, one, report);
      one.trace = TraceMode::Hutchinson;
      one.title += ", estimated trace";
      check_processes(engine, one, report);
    }
    Case deep = a_case(name + ", tangents", {8, 8, 8}, LayerKind::ConcatV2, control);
    for (const std::size_t size : {512, 777, 1300}) {
      deep.batch = size;
      check_processes(engine, deep, report);
    }
    deep.batch = 333;
    deep.processes = 4;
    check_processes(engine, deep, report);
    Case normed = a_case(name + ", batch norm", {8}, LayerKind::Concat, control);
    normed.batch_norm = true;
    check_processes(engine, normed, report);
  }
  // Steps of a fixed size are those of every row.
  Case fixed = a_case("fixed steps", {8, 8}, LayerKind::Concat, Control::Batch);
  fixed.method = "heun3";
  check_processes(engine, fixed, report);
  report.finish(engine.name + ": processes add in pairs");
}

void check_reference(Report& report) {
  for (const Control control : {Control::Sample, Control::Tile}) {
    Case one = a_case("concatsquash", {6, 5}, LayerKind::ConcatSquash, control);
    one.context = true;
    one.batch = 333;
    one.processes = 4;
    check_processes(reference::engine(), one, report);
    one.context = false;
    one.batch_norm = true;
    check_processes(reference::engine(), one, report);
  }
  report.finish("reference: processes add in pairs");
}

void check_wide(Report& report) {
  Case wide = a_case("wide", {390, 390}, LayerKind::Concat, Control::Tile);
  wide.method = "rk4";
  wide.batch = 300;
  wide.processes = 4;
  wide.trace = TraceMode::Hutchinson;
  check_processes(cpu::engine(), wide, report);
  report.finish("tiles of 64 rows");
}

}  // namespace

int main() {
  Report report;
  try {
    check_cuts(report);
    check_engine(cpu::engine(), report);
    check_reference(report);
    check_wide(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
