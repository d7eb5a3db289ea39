// Solves of rows whose equation has a closed form, in every grouping: how near they come, what
// their tape holds, and that neither the tape nor who drives the attempts changes a bit. Rows of
// three channels and of whole vectors, a batch of several tiles, a method whose last stage is no
// end. A batch that ranks, which are threads, have parts of steps as one that lies together.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "core/group.h"
#include "core/tableau.h"
#include "cuda/device/grid.h"
#include "cuda/step/joint_solve.h"
#include "test/cuda/kernels.h"
#include "test/native/thread_ranks.h"

namespace {

using namespace checks;
using namespace ffjord;
using namespace ffjord::cuda;

constexpr double kEnd = 1;

constexpr int kInfinite = 1 << 20;  // from this row on, rates are

// Each channel is logistic, y' = c y (1 − y), at a rate c of its own, faster in later rows.
__device__ float rate_of(int row, int channel) {
  return row < kInfinite ? 1.f + 0.5f * (channel % 5) + 0.02f * row : INFINITY;
}

__global__ void logistic_rates(Groups groups, int batch, int channels,
                               const __grid_constant__ StagePoint point, float* rates, int first) {
  const std::size_t at = flat_index();
  const int row = static_cast<int>(at / channels), channel = static_cast<int>(at % channels);
  if (!groups.works(row, batch)) return;
  if (!point.has_values()) point.store(groups, row, channel);
  const float y = point.values[std::size_t(row) * point.stride + channel];
  rates[at] = rate_of(first + row, channel) * y * (1.f - y);
}

struct Logistic final : RowSystem {
  JointSolve* solve = nullptr;
  int first = 0, batch = 0, channels = 0;
  const Stream* stream = nullptr;

  void evaluate(int, double, const StagePoint& point, float* rates) override {
    launch("logistic_rates", logistic_rates, flat_shape(std::size_t(batch) * channels), *stream,
           solve->groups(), batch, channels, point, rates, first);
  }
};

Report report;

struct Case {
  const char* tableau;
  Control control;
  int batch, channels;
  int first = 0;               ///< the number of its first row
  SharedSums* sums = nullptr;  ///< of those that have the others
};

struct Result {
  std::vector<float> state, kept;
  std::vector<Step> steps;
  std::vector<int> accepted;
};

std::vector<float> starts(const Case& one) {
  std::vector<float> y(std::size_t(one.batch) * one.channels);
  const std::size_t before = std::size_t(one.first) * one.channels;
  for (std::size_t i = 0; i < y.size(); ++i)
    y[i] = 0.1f + 0.003f * static_cast<float>((before + i) % 97);
  return y;
}

Result run(const Case& one, bool loops, bool tape, const std::vector<double>& stops,
           std::vector<float>* stop_states, const Stream& stream) {
  SolverOptions options;
  options.tableau = &tableau(one.tableau);
  options.rtol = options.atol = 1e-4;
  options.control = one.control;
  const Grouping grouping = Grouping::of(one.batch, one.control);
  StateShape shape{one.channels, one.channels, {one.channels - 1, 1}};
  JointSolve solve(options, grouping, shape, loops, stream);
  Logistic system;
  system.solve = &solve;
  system.first = one.first;
  system.batch = one.batch;
  system.channels = one.channels;
  system.stream = &stream;
  const std::vector<float> y = starts(one);
  check(cudaMemcpyAsync(solve.state(), y.data(), y.size() * sizeof(float), cudaMemcpyHostToDevice,
                        stream.get()),
        "state");
  Checkpoints checkpoints(one.channels);
  DeviceArray<float> passed(stops.size() * y.size(), stream);
  SolveRun way;
  way.t1 = kEnd;
  if (tape) way.checkpoints = &checkpoints;
  way.stops = stops;
  way.stop_states = &passed;
  way.sums = one.sums;
  solve.run(system, way);
  Result result;
  const auto copy = [&]<class T>(const T* from, std::size_t count) {
    std::vector<T> values(count);
    check(cudaMemcpyAsync(values.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost,
                          stream.get()),
          "result");
    stream.synchronize();
    return values;
  };
  result.state = copy(solve.state(), y.size());
  for (const ffjord::cuda::Group& group : solve.outcome().ends())
    result.accepted.push_back(group.step);
  if (tape) {
    const StepTape& kept = checkpoints.tape();
    result.kept = copy(kept.states, y.size());  // before the first step
    result.steps = copy(kept.steps, std::size_t(kept.capacity) * grouping.count());
    for (int group = 0; group < grouping.count(); ++group) {
      double t = 0;
      for (int step = 0; step < result.accepted[group]; ++step) {
        const Step& at = result.steps[std::size_t(group) * kept.capacity + step];
        report.expect("the tape has the steps one after the other", at.t == t && at.h > 0);
        t = step + 1 < result.accepted[group] ? at.t + at.h : kEnd;
      }
    }
    report.expect("the tape begins with the state", result.kept == y);
  }
  if (stop_states) *stop_states = from_device(passed, stream);
  return result;
}

double distance(const Case& one, const std::vector<float>& state, double t) {
  const std::vector<float> y = starts(one);
  double most = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const int row = static_cast<int>(i / one.channels),
              channel = static_cast<int>(i % one.channels);
    const double c = 1.f + 0.5f * (channel % 5) + 0.02f * row;
    const double exact = 1 / (1 + (1 / double(y[i]) - 1) * std::exp(-c * t));
    most = std::max(most, std::abs(state[i] - exact));
  }
  return most;
}

bool same_steps(const Result& a, const Result& b) {
  if (a.accepted != b.accepted) return false;
  for (int step = 0; step < a.accepted[0]; ++step)
    if (a.steps[step].t != b.steps[step].t || a.steps[step].h != b.steps[step].h) return false;
  return true;
}

// Of threads as ranks one at a time works on the device, as the emulator wants it; the others wait
// for sums.
class InTurns final : public SharedSums {
 public:
  explicit InTurns(ffjord::Group& group) : group_(group), turn_(device()) {}
  using SharedSums::sum;
  void sum(std::span<float> values) override { give_way(values); }
  void sum(std::span<double> values) override { give_way(values); }

 private:
  static std::mutex& device() {
    static std::mutex mutex;
    return mutex;
  }
  template <class Values>
  void give_way(const Values& values) {
    struct Way {
      std::unique_lock<std::mutex>& turn;
      explicit Way(std::unique_lock<std::mutex>& turn) : turn(turn) { turn.unlock(); }
      ~Way() { turn.lock(); }
    } way(turn_);
    group_.sum(values);
  }

  ffjord::Group& group_;
  std::unique_lock<std::mutex> turn_;
};

// Ranks of 1, 40 and 29 rows; a rank whose rows are slow takes the steps that the others' ask for.
void check_ranks(const char* method) {
  const Case whole{method, Control::Batch, 70, 3};
  const Stream stream;
  const Result expected = run(whole, false, true, {}, nullptr, stream);
  const std::vector<int> cuts{0, 1, 41, 70};
  const int size = 3;
  const auto part = [&](int rank, SharedSums* sums) {
    return Case{method, Control::Batch, cuts[rank + 1] - cuts[rank], 3, cuts[rank], sums};
  };
  std::vector<Result> results(size);
  std::vector<std::pair<int, std::string>> failures(size);
  run_ranks(size, [&](int rank, std::unique_ptr<Communicator> communicator) {
    ffjord::Group group(std::move(communicator));
    group.together([&] {
      InTurns sums(group);
      const Stream own;
      results[rank] = run(part(rank, &sums), true, true, {}, nullptr, own);
    });
    failures[rank] = thrown(group, [&] {
      InTurns sums(group);
      const Stream own;
      Case failing = part(rank, &sums);
      if (rank == 1) failing.first = kInfinite;
      run(failing, true, true, {}, nullptr, own);
    });
  });
  const std::string name = std::string(method) + " of ranks";
  std::vector<float> states;
  for (int rank = 0; rank < size; ++rank) {
    report.expect(name + " takes the same steps", same_steps(results[rank], results[0]));
    report.expect(name + " as often as one process", results[rank].accepted == expected.accepted);
    states.insert(states.end(), results[rank].state.begin(), results[rank].state.end());
    report.expect(name + " fails on all", failures[rank].first == int(ErrorCode::SolveFailed) &&
                                              (rank == 1 || has(failures[rank].second, "rank 1")));
  }
  double most = 0;
  for (std::size_t i = 0; i < states.size(); ++i)
    most = std::max(most, double(std::abs(states[i] - expected.state[i])));
  report.expect(name + " comes to the states of one process", most, 1e-6);
  const Result alone = run(part(1, nullptr), true, true, {}, nullptr, stream);
  report.expect("which rows by themselves would not", !same_steps(alone, results[1]));
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  const Stream stream;
  std::vector<Case> cases{{"bosh3", Control::Batch, 20, 8},
                          {"adaptive_heun", Control::Tile, 40, 3}};
  for (const Control control : {Control::Batch, Control::Tile, Control::Sample})
    for (const int batch : {1, 7, 70})
      for (const int channels : {3, 8}) cases.push_back({"dopri5", control, batch, channels});
  for (const Case& one : cases) {
    const std::string name = std::string(one.tableau) + ", control " +
                             std::to_string(static_cast<int>(one.control)) + ", " +
                             std::to_string(one.batch) + " x " + std::to_string(one.channels);
    const Result plain = run(one, false, false, {}, nullptr, stream);
    const Result taped = run(one, false, true, {}, nullptr, stream);
    const Result looped = run(one, true, true, {}, nullptr, stream);
    report.expect(name + ": a tape changes nothing", same(plain.state, taped.state));
    report.expect(name + ": nor does who drives the attempts",
                  same(taped.state, looped.state) && taped.accepted == looped.accepted);
    report.expect(name, distance(one, plain.state, kEnd), 1e-3);
  }
  for (const char* method : {"dopri5", "adaptive_heun"}) {
    const Case one{method, Control::Batch, 20, 4};
    std::vector<float> states;
    const Result stopped = run(one, false, false, {0.25, 0.625}, &states, stream);
    const std::size_t size = states.size() / 2;
    report.expect(std::string(method) + " with stops", distance(one, stopped.state, kEnd), 1e-3);
    report.expect("at the first", distance(one, {states.begin(), states.begin() + size}, 0.25),
                  1e-3);
    report.expect("at the second", distance(one, {states.begin() + size, states.end()}, 0.625),
                  1e-3);
  }
  for (const char* method : {"dopri5", "bosh3", "adaptive_heun"}) check_ranks(method);
  report.finish("joint solves");
  return report.failures() > 0;
}
