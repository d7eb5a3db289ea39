// Sums of values in cards: by a library with NCCL's interface (test/distributed/nccl.cc), threads
// being the ranks; why it is not used; and how its failures end. With NCCL itself, where
// FFJORD_TEST_NCCL names its file or the system has one: that it opens, and its version.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/group.h"
#include "distributed/nccl_communicator.h"
#include "flow_case.h"
#include "thread_ranks.h"

namespace {

using namespace ffjord;
using namespace checks;
using distributed::NcclCommunicator;
using distributed::NcclLibrary;

constexpr double kDeadline = 0.5;

// A card whose memory is the host's. `stalls`: once values were handed to a library, it is never
// done.
class TestValues : public DeviceValues {
 public:
  TestValues(std::size_t count, int rank, std::string card) : card_(std::move(card)) {
    for (std::size_t i = 0; i < count; ++i) values_.push_back(term(rank, i));
  }
  std::size_t count() const override { return values_.size(); }
  float* on_card() override {
    handed_ = true;
    return values_.data();
  }
  void* stream() const override { return nullptr; }
  bool is_done() const override {
    ++looks_;
    if (late_ > 0) return --late_ == 0;
    return !(stalls && handed_);
  }
  std::string card() const override { return card_; }
  void enter() const override { ++entered_; }
  std::span<const float> on_host() const override { return values_; }
  void assign(std::span<const float> values) override {
    values_.assign(values.begin(), values.end());
  }

  const std::vector<float>& values() const { return values_; }
  int looks() const { return looks_; }
  bool was_entered() const { return entered_ > 0; }
  bool was_handed() const { return handed_; }
  /// The card still works at them for so many looks.
  void work(int looks) { late_ = looks; }

  bool stalls = false;

 private:
  std::vector<float> values_;
  const std::string card_;
  mutable int late_ = 0, looks_ = 0, entered_ = 0;
  bool handed_ = false;
};

enum class Way { Tree, LastFirst };

// Whether these are the sums of all ranks' terms, added that way, bit for bit.
bool are_sums(const TestValues& values, int size, Way way) {
  for (std::size_t i = 0; i < values.count(); ++i) {
    float sum = 0;
    for (int rank = size - 1; rank >= 0; --rank) sum += term(rank, i);
    if (values.values()[i] != (way == Way::Tree ? tree<float>(size, i) : sum)) return false;
  }
  return true;
}

struct Rank {
  int rank, size;
  Group& group;
  Report& report;

  TestValues values(const std::string& card = "", std::size_t count = 1000) const {
    return TestValues(count, rank, card.empty() ? "card " + std::to_string(rank) : card);
  }
  bool says(const std::string& part) const { return has(group.communicator().library(), part); }
};

using Libraries = std::function<std::string(int rank)>;

// Ranks that each do `body`, with what the environment says is wrong with the library.
void run(Report& report, const std::string& name, int size, const Libraries& libraries,
         const std::string& wrong, const std::function<void(const Rank&)>& body,
         double deadline = kDeadline) {
  setenv("NCCL_STAND_IN", wrong.c_str(), 1);
  std::vector<Report> reports(size);
  run_ranks(size, [&](int rank, std::unique_ptr<Communicator> host) {
    Group group(std::make_unique<NcclCommunicator>(std::move(host), deadline, libraries(rank)));
    body({rank, size, group, reports[rank]});
  });
  for (int rank = 0; rank < size; ++rank)
    report.expect(name + ", rank " + std::to_string(rank), reports[rank].failures() == 0);
  unsetenv("NCCL_STAND_IN");
}

std::string stand_in(int) { return NCCL_STAND_IN; }

// What the stand-in counts: links that are open, and how many were aborted.
int counted(const char* symbol) {
  void* const library = dlopen(NCCL_STAND_IN, RTLD_NOW | RTLD_LOCAL);
  auto* const count = reinterpret_cast<int (*)()>(dlsym(library, symbol));
  return count ? count() : -1;
}

void check_sums(Report& report) {
  for (const int size : {2, 3, 4})
    run(report, std::to_string(size) + " ranks", size, stand_in, "", [](const Rank& one) {
      Report& report = one.report;
      report.expect("nothing is opened before gradients lie in cards",
                    one.group.communicator().transport() == "threads" && !one.says("NCCL"));
      for (const std::size_t count : {1, 1000, 100003}) {
        TestValues values = one.values("", count);
        values.work(3);
        one.group.together([&] { one.group.sum(values); });
        report.expect("values go from card to card", are_sums(values, one.size, Way::LastFirst));
        report.expect("behind the card's own work", values.looks() > 3 && values.was_entered());
      }
      report.expect("and are told of", one.group.communicator().transport() == "nccl" &&
                                           one.says("by NCCL 2.27.3 (" NCCL_STAND_IN));
      std::vector<float> floats;
      for (std::size_t i = 0; i < 100; ++i) floats.push_back(term(one.rank, i));
      one.group.together([&] { one.group.sum(std::span(floats)); });
      bool as_tree = true;
      for (std::size_t i = 0; i < 100; ++i) as_tree &= floats[i] == tree<float>(one.size, i);
      report.expect("what is small is summed as a tree", as_tree);
      // The last rank goes to another card: all are linked anew.
      TestValues other = one.values(one.rank == one.size - 1 ? "another card" : "");
      one.group.together([&] { one.group.sum(other); });
      report.expect("from another card, too", are_sums(other, one.size, Way::LastFirst));
      // Ranks of which one computes on the host.
      TestValues mixed = one.values();
      std::vector<float> host = mixed.values();
      one.group.together([&] {
        if (one.rank > 0) return one.group.sum(mixed);
        one.group.sum(std::span(host));
        mixed.assign(host);
      });
      report.expect("beside an engine without a card", are_sums(mixed, one.size, Way::Tree));
      one.group.leave();
    });
  report.expect("links are given back in good order",
                counted("stand_in_open") == 0 && counted("stand_in_aborts") == 0);
  report.finish("sums from card to card");
}

// The reason is told on all ranks, and gradients go through the host.
void check_reasons(Report& report) {
  const auto expect = [&](const std::string& name, const Libraries& libraries,
                          const std::string& wrong, const std::string& card,
                          const std::string& reason) {
    run(report, name, 2, libraries, wrong, [&](const Rank& one) {
      TestValues values = one.values(card);
      one.group.together([&] { one.group.sum(values); });
      one.report.expect(name + ": sums go through the host",
                        are_sums(values, one.size, Way::Tree) && !values.was_handed());
      one.report.expect(name + ": the reason is told",
                        one.says(reason) && one.group.communicator().transport() == "threads");
      if (!one.says(reason)) std::printf("%s\n", one.group.communicator().library().c_str());
      TestValues more = one.values(card);
      one.group.together([&] { one.group.sum(more); });
      one.report.expect(name + ": again", are_sums(more, one.size, Way::Tree));
      one.group.leave();
    });
  };
  const auto all = [](const std::string& name) { return [name](int) { return name; }; };
  const auto last = [](const std::string& name) {
    return [name](int rank) { return rank == 1 ? name : std::string(NCCL_STAND_IN); };
  };
  expect("no library", last("libnccl-of-nowhere.so"), "", "",
         "on rank 1 NCCL does not open: libnccl-of-nowhere.so: cannot open");
  expect("one that is not wanted", all("none"), "", "", "FFJORD_NCCL is 'none'");
  expect("an old one", all(NCCL_STAND_IN_OLD), "", "", "NCCL 2.12.10, whose calls block");
  expect("one without a function", all(NCCL_STAND_IN_WITHOUT_ABORT), "", "",
         "has no ncclCommAbort");
  expect("versions that differ", last(NCCL_STAND_IN_NEWER), "", "", "another version of NCCL");
  expect("a card of two ranks", all(NCCL_STAND_IN), "", "the card", "ranks 0 and 1 share a card");
  expect("no id", all(NCCL_STAND_IN), "no-id=0", "",
         "on rank 0: NCCL makes no id: unhandled system");
  expect("a rank that is not linked", all(NCCL_STAND_IN), "refuse=1", "",
         "on rank 1: ncclCommInitRankConfig of NCCL 2.27.3");
  report.expect("no link is left", counted("stand_in_open") == 0);
  report.finish("why not by NCCL");
}

// A sum that fails rejects, and ends what the card would wait for; on the ranks that wait for one
// which failed at once.
void check_failures(Report& report) {
  using Clock = std::chrono::steady_clock;
  const auto expect = [&](const std::string& name, const std::string& wrong, bool stalls,
                          const std::function<std::string(int rank)>& reason,
                          double deadline = kDeadline) {
    const int before = counted("stand_in_aborts");
    const auto fail = [&](const Rank& one) {
      TestValues values = one.values();
      values.stalls = stalls && one.rank == 0;
      const Clock::time_point began = Clock::now();
      const auto [code, message] = thrown(one.group, [&] { one.group.sum(values); });
      const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
      one.report.expect(name + ": it rejects within the deadline",
                        (code == int(ErrorCode::PeerLost) && has(message, reason(one.rank)) &&
                         seconds < 20 * kDeadline) ||
                            reason(one.rank).empty());
      if (code != int(ErrorCode::PeerLost)) return;
      const auto [later, why] = thrown(one.group, [&] { one.group.agree({}); });
      one.report.expect(name + ": and no call follows",
                        later == int(ErrorCode::PeerLost) && has(why, "has lost a rank"));
    };
    run(report, name, 2, stand_in, wrong, fail, deadline);
    report.expect(name + ": links are aborted",
                  counted("stand_in_open") == 0 && counted("stand_in_aborts") > before);
  };
  expect("a rank that hangs", "hang=1", false,
         [](int) { return "waited for the others longer than"; });
  const auto of_rank_1 = [](int rank) {
    const std::string own =
        "ncclAllReduce of NCCL 2.27.3 (" NCCL_STAND_IN ") failed on rank 1: remote process exited";
    return rank == 1 ? own : "rank 1 goes no further: " + own;
  };
  expect("an error of its own thread", "fail=1", false, of_rank_1, 200 * kDeadline);
  // The others have their sum, and no fault to find.
  expect("a card that does not end its kernel", "", true,
         [](int rank) { return rank == 0 ? "waited for the others longer than" : ""; });
  report.finish("failures of NCCL");
}

void check_library(Report& report) {
  const char* const named = std::getenv("FFJORD_TEST_NCCL");
  const std::string name = named && *named ? named : "libnccl.so.2";
  if (!(named && *named) && !dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    std::printf("%-42s skipped: FFJORD_TEST_NCCL names no file, and %s\n", "NCCL itself",
                dlerror());
    return;
  }
  const NcclLibrary library(name);
  std::printf("%s (%s)\n", library.version().c_str(), library.path().c_str());
  report.expect("its version", library.version_code() >= 21400);
  report.expect("its words for an error", has(library.words(5), "invalid usage"));
  report.finish("NCCL itself");
}

}  // namespace

int main() {
  Report report;
  check_sums(report);
  check_reasons(report);
  check_failures(report);
  check_library(report);
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
