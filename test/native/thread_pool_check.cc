// The thread pool of the cpu engine: every item once, which exception comes out, teams side by
// side.
#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cpu/processors.h"
#include "cpu/thread_pool.h"
#include "flow_case.h"

namespace {

using checks::Report;
using ffjord::cpu::Team;

// Runs many jobs of changing size; returns whether each item ran once, under a worker of the team
// that ran no other item meanwhile.
bool runs_each_once(int threads) {
  Team team(threads);
  std::vector<std::atomic<int>> runs(300), busy(threads);
  bool right = true;
  for (int round = 0; round < 2000; ++round) {
    const std::size_t items = 1 + round * 7 % runs.size();
    for (auto& count : runs) count = 0;
    std::atomic<bool> clean = true;
    team.run(items, [&](int worker, std::size_t item) {
      if (worker < 0 || worker >= threads || busy[worker].exchange(1) != 0) clean = false;
      ++runs[item];
      busy[worker] = 0;
    });
    for (std::size_t item = 0; item < runs.size(); ++item)
      right = right && runs[item] == (item < items ? 1 : 0);
    right = right && clean;
  }
  return right;
}

void check_items(Report& report) {
  for (int threads : {1, 2, 3, 8, 2})
    report.expect("each item once, " + std::to_string(threads) + " threads",
                  runs_each_once(threads));
  bool stayed = true;
  const auto caller = std::this_thread::get_id();
  Team(4).run(1, [&](int, std::size_t) { stayed = std::this_thread::get_id() == caller; });
  report.expect("a single item stays with its caller", stayed);
  report.finish("items");
}

void check_many_items(Report& report) {
  const std::size_t items = (std::size_t{1} << 26) + 3;
  std::vector<std::size_t> sums(4), counts(4);  // by worker
  Team(2).run(items, [&](int worker, std::size_t item) {
    sums[worker] += item;
    ++counts[worker];
  });
  report.expect("more items than a job counts", counts[0] + counts[1] == items);
  report.expect("each with its number", sums[0] + sums[1] == items * (items - 1) / 2);
  report.finish("many items");
}

void check_exceptions(Report& report) {
  Team team(4);
  for (int round = 0; round < 200; ++round) {
    std::string message;
    try {
      team.run(100, [&](int, std::size_t item) {
        if (item >= 40 && item % 10 == 0) throw std::runtime_error(std::to_string(item));
      });
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    report.expect("the exception of the lowest item", message == "40");
    std::atomic<int> ran = 0;
    team.run(100, [&](int, std::size_t) { ++ran; });
    report.expect("the next job runs whole", ran == 100);
  }
  report.finish("exceptions");
}

void check_side_by_side(Report& report) {
  std::atomic<bool> right = true;
  std::vector<std::thread> callers;
  for (int threads : {2, 3, 4, 2})
    callers.emplace_back([&, threads] {
      for (int round = 0; round < 3; ++round)
        if (!runs_each_once(threads)) right = false;
    });
  for (std::thread& caller : callers) caller.join();
  report.expect("teams of several threads at once", right);
  report.finish("teams side by side");
}

}  // namespace

int main() {
  Report report;
  report.expect("processors", ffjord::cpu::granted_processors() >= 1);
  report.expect("threads asked for", ffjord::cpu::thread_count(5) == 5);
  report.finish("counts");
  check_items(report);
  check_many_items(report);
  check_exceptions(report);
  check_side_by_side(report);
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
