// Ranks that train together: sums in the order of the tree, failures that all throw, ranks that go
// different ways. First threads are the ranks, then processes that the launchers of this machine
// start; a launcher that is not there is named. With an argument, threads alone: sanitizers find
// fault with libraries of MPI.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/group.h"
#include "distributed/join.h"
#include "distributed/launch.h"
#include "flow_case.h"
#include "thread_ranks.h"

namespace {

using namespace ffjord;
using namespace checks;

template <class Number>
bool sums_as_a_tree(Group& group, std::size_t count) {
  std::vector<Number> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = term(group.rank(), i);
  group.sum(std::span(values));
  for (std::size_t i = 0; i < count; ++i)
    if (values[i] != tree<Number>(group.size(), i)) return false;
  return true;
}

// What every rank does.
void check_calls(Group& group, Report& report) {
  const int rank = group.rank(), size = group.size(), last = size - 1;
  for (const std::size_t count : {1, 7, 1000, 100003}) {
    report.expect("floats", sums_as_a_tree<float>(group, count));
    report.expect("doubles", sums_as_a_tree<double>(group, count));
  }
  if (size == 2)
    report.expect("more than goes at once",
                  sums_as_a_tree<double>(group, (std::size_t{9} << 20) / 2));

  std::string word = rank == 0 ? "word" : "    ";
  group.broadcast(std::as_writable_bytes(std::span(word)));
  report.expect("broadcast", word == "word");
  report.expect("local ranks", group.communicator().local_size() == size &&
                                   group.communicator().local_rank() == rank);

  auto signals = group.agree({rank == last, rank == last});
  report.expect("a stop is that of any, time that of rank 0",
                signals.stop && signals.time_up == (last == 0));
  report.expect("which ends the work of all", size == 1 || group.ended());
  signals = group.agree({});
  report.expect("or none", !signals.stop && !signals.time_up && !group.ended());

  std::size_t end = 0;
  for (const auto& [first, until] : group.shares(1000)) {
    report.expect("shares lie behind each other and have rows", first == end && until > first);
    end = until;
  }
  report.expect("shares have all rows", end == 1000);
  group.require_same(17, "a number");
  if (size == 1) return;

  // A failure before the others' sum, within it, and behind all sums.
  const auto solve = thrown(group, [&] {
    if (rank == last) {
      SolveFailure failure("it diverged", 0.25, 1e-9);
      failure.rows = {3, 5};
      throw failure;
    }
    std::vector<double> ones(3, 1);
    group.sum(ones);
  });
  report.expect("a failure is that of all",
                solve.first == int(ErrorCode::SolveFailed) && has(solve.second, "it diverged"));
  report.expect("and names its rank",
                rank == last || has(solve.second, "rank " + std::to_string(last)));
  try {
    group.together([&] {
      if (rank == 0) throw OutsideSupport({7}, "x is negative", true);
      group.agree({});
    });
    report.expect("OutsideSupport is thrown", false);
  } catch (const OutsideSupport& outside) {
    report.expect("OutsideSupport keeps what it has",
                  outside.by_weights && outside.rows == std::vector<std::size_t>{7});
  }
  report.expect("all fail at once", thrown(group, [] {
                                      throw Error(ErrorCode::Unsupported, "no");
                                    }).first == int(ErrorCode::Unsupported));
  report.expect("a failure ends the work of all", group.ended());
  const auto large = thrown(group, [&] {
    if (rank == last) throw std::length_error("vector::reserve");
    group.agree({});
  });
  report.expect("memory that one rank lacks is called so on all",
                large.first == int(ErrorCode::OutOfMemory));

  const auto apart = thrown(group, [&] {
    std::vector<double> ones(rank == 0 ? 3 : 4, 1);
    group.sum(ones);
  });
  report.expect("sums of different sizes are refused",
                apart.first == int(ErrorCode::InvalidArgument) && has(apart.second, "a sum of 4"));
  const auto other = thrown(group, [&] { group.require_same(rank, "their seed"); });
  report.expect("different numbers are refused", has(other.second, "differ in their seed"));
  report.expect("and the group goes on", sums_as_a_tree<float>(group, 1000));

  const auto early = thrown(group, [&] {
    if (rank == last) return group.finish();
    std::vector<double> ones(3, 1);
    group.sum(ones);
  });
  report.expect("a rank that finishes alone is told of by name",
                early.first == int(ErrorCode::InvalidArgument) &&
                    has(early.second, "rank " + std::to_string(last) + " to its end"));
}

void check_threads(Report& report) {
  for (const int size : {1, 2, 3, 4, 5, 8}) {
    std::vector<Report> reports(size);
    run_ranks(size, [&](int rank, std::unique_ptr<Communicator> communicator) {
      Group group(std::move(communicator));
      check_calls(group, reports[rank]);
      group.leave();
    });
    for (int rank = 0; rank < size; ++rank)
      report.expect(std::to_string(size) + " threads, rank " + std::to_string(rank),
                    reports[rank].failures() == 0);
  }
  report.finish("threads as ranks");
}

// The other of two ranks answers after the deadline.
class LateCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 2; }
  std::string transport() const override { return "late"; }
  std::string library() const override { return "none"; }
  void gather(std::span<const std::byte> own, std::span<std::byte> all) override {
    if (meets) return wait(all);
    std::copy(own.begin(), own.end(), all.begin());
    std::copy(own.begin(), own.end(), all.begin() + own.size());
  }
  void exchange(std::span<const std::byte>, std::span<std::byte> received) override {
    wait(received);
  }
  void broadcast(std::span<std::byte> bytes, int) override { wait(bytes); }
  void leave() override {}
  void abort(int) noexcept override {}

  bool meets = false;  ///< whether that is a meeting
  void answer() { std::fill(waiting_.begin(), waiting_.end(), std::byte{1}); }

 private:
  void wait(std::span<std::byte> bytes) {
    waiting_ = bytes;
    throw Error(ErrorCode::PeerLost, "waited for long");
  }
  std::span<std::byte> waiting_;
};

// Under the address sanitizer: what a call that threw was given is still there.
void check_late_answers(Report& report) {
  const auto late = [&](const char* name, bool meets, const auto& body) {
    auto communicator = std::make_unique<LateCommunicator>();
    LateCommunicator& other = *communicator;
    other.meets = meets;
    Group group(std::move(communicator));
    report.expect(name, thrown(group, [&] { body(group); }).first == int(ErrorCode::PeerLost));
    other.answer();
    report.expect("and no call follows",
                  thrown(group, [&] { group.agree({}); }).first == int(ErrorCode::PeerLost));
  };
  const auto sum = [](Group& group) {
    std::vector<double> values(1000, 1);
    group.sum(std::span(values));
  };
  late("a meeting", true, sum);
  late("a sum", false, sum);
  late("a broadcast", false, [](Group& group) {
    std::vector<std::byte> bytes(100);
    group.broadcast(bytes);
  });
  report.finish("answers behind the deadline");
}

// Values of a card that fails.
class FailingValues : public DeviceValues {
 public:
  std::size_t count() const override { return 3; }
  float* on_card() override { throw failure(); }
  void* stream() const override { return nullptr; }
  bool is_done() const override { return true; }
  std::string card() const override { return "a card"; }
  void enter() const override {}
  std::span<const float> on_host() const override { throw failure(); }
  void assign(std::span<const float>) override {}

 private:
  static Error failure() { return {ErrorCode::Internal, "the card is gone"}; }
};

// One of several processes: what they do is named by the environment.
int be_a_rank(const std::string& what) {
  try {
    Group group(distributed::join(what == "hang" ? 1.0 : 60.0));
    if (what == "hang") {
      if (group.rank() == 1) pause();
      std::vector<double> ones(3, 1);
      group.together([&] { group.sum(ones); });
    }
    if (what == "fail") {
      FailingValues failing;
      std::vector<float> ones(3, 1);
      if (group.rank() != 1) group.together([&] { group.sum(std::span(ones)); });
      thrown(group, [&] { group.sum(failing); });
      // It goes on for as long as the others would wait.
      pause();
    }
    if (what == "die") {
      if (group.rank() == 1) _exit(7);
      std::vector<double> ones(3, 1);
      group.together([&] { group.sum(ones); });
    }
    Report report;
    check_calls(group, report);
    group.leave();
    if (group.rank() == 0)
      std::printf("%d ranks by %s\n", group.size(), group.communicator().library().c_str());
    return report.failures() == 0 ? 0 : 1;
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    std::fflush(stdout);
    // As a process that has an error and no more to say.
    _exit(9);
  }
}

struct Ended {
  int code = 0;
  std::string output;
};

Ended run(const std::string& command) {
  Ended ended;
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  while (const std::size_t read = fread(buffer.data(), 1, buffer.size(), pipe))
    ended.output.append(buffer.data(), read);
  const int status = pclose(pipe);
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ended;
}

void check_launcher(const std::string& program, const std::string& name, const std::string& options,
                    const std::string& other_library, Report& report) {
  if (run("command -v " + name).code != 0) {
    std::printf("%-42s skipped: there is no %s\n", name.c_str(), name.c_str());
    return;
  }
  const auto launch = [&](int ranks, const std::string& what, const std::string& variables = "") {
    return run("GROUP_CHECK=" + what + " " + variables + " timeout 60 " + name + " " + options +
               " -n " + std::to_string(ranks) + " " + program);
  };
  for (const int ranks : {1, 2, 3, 4}) {
    const Ended ended = launch(ranks, "calls");
    if (ended.code != 0) std::printf("%s\n", ended.output.c_str());
    report.expect(std::to_string(ranks) + " ranks", ended.code == 0);
    report.expect("of which rank 0 speaks",
                  ranks == 1 || has(ended.output, std::to_string(ranks) + " ranks by"));
  }
  const auto began = std::chrono::steady_clock::now();
  const Ended failed = launch(3, "fail");
  report.expect("a rank whose sum fails ends the others before their deadline",
                has(failed.output, "goes no further: the card is gone") &&
                    std::chrono::steady_clock::now() - began < std::chrono::seconds(30));
  const Ended hung = launch(2, "hang");
  report.expect("a rank that hangs is found", hung.code != 0 && hung.code != 124 &&
                                                  has(hung.output, "waited for the others longer"));
  const Ended died = launch(3, "die");
  report.expect("a rank that dies ends the job", died.code != 0 && died.code != 124);
  const Ended alien = launch(2, "calls", "FFJORD_MPI=" + other_library);
  report.expect("a library of another make is named, and the launcher",
                alien.code != 0 && has(alien.output, "are of different makes") &&
                    has(alien.output, other_library));
  if (report.failures() > 0) std::printf("%s\n", alien.output.c_str());
  report.finish(name);
}

void check_launch_variables(Report& report) {
  using distributed::find_launch, distributed::Launch;
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    unsetenv(name);
  report.expect("a process of its own", find_launch().kind == Launch::Kind::Alone);
  setenv("SLURM_NTASKS", "4", 1);
  setenv("SLURM_PROCID", "0", 1);
  report.expect("a batch script of Slurm is no step", find_launch().kind == Launch::Kind::Alone);
  setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  report.expect("a step of Slurm",
                find_launch().kind == Launch::Kind::Slurm && find_launch().size == 4);
  setenv("PMI_SIZE", "2", 1);
  setenv("PMI_RANK", "1", 1);
  setenv("PMI_FD", "999", 1);
  std::string message;
  try {
    find_launch();
  } catch (const Error& error) {
    message = error.what();
  }
  report.expect("a connection that npx closed", has(message, "-pmi-port"));
  for (const char* name :
       {"SLURM_NTASKS", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "PMI_SIZE", "PMI_RANK", "PMI_FD"})
    unsetenv(name);
  report.finish("variables of launchers");
}

}  // namespace

int main(int count, char** arguments) {
  if (const char* what = std::getenv("GROUP_CHECK")) return be_a_rank(what);
  Report report;
  check_threads(report);
  check_late_answers(report);
  check_launch_variables(report);
  if (count < 2) {
    check_launcher(arguments[0], "mpirun.openmpi", "--allow-run-as-root --oversubscribe",
                   "libmpich.so.12", report);
    check_launcher(arguments[0], "mpirun.mpich", "", "libmpi.so.40", report);
  }
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
