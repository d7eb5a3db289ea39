#include "cpu/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace ffjord::cpu {
namespace {

// A worker between two steps of a solve is called again within microseconds; the wake-up of a
// sleeping one takes some tens of them. FFJORD_SPIN says how long to look for work before, in
// microseconds, for who shares a machine (0) or has it alone.
const std::chrono::microseconds kSpin = [] {
  const char* variable = std::getenv("FFJORD_SPIN");
  return std::chrono::microseconds(variable ? std::clamp(std::atoi(variable), 0, 1'000'000) : 40);
}();

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins, then sleeps, until `value` is no longer `old`.
void wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

// What is left of a job, in one word that a claim can exchange.
struct Ticket {
  static constexpr int kItemBits = 26;  // threads have the other 12
  static constexpr std::uint64_t kItemMask = (std::uint64_t{1} << kItemBits) - 1;

  static std::uint64_t of(std::size_t items, int threads) {
    return static_cast<std::uint64_t>(threads) << 2 * kItemBits | items << kItemBits;
  }
  static std::size_t next(std::uint64_t ticket) { return ticket & kItemMask; }
  static std::size_t items(std::uint64_t ticket) { return ticket >> kItemBits & kItemMask; }
  static int threads(std::uint64_t ticket) { return static_cast<int>(ticket >> 2 * kItemBits); }
};

// Where an item's exception goes; that of the lowest item is kept.
class FirstFailure {
 public:
  void reset() {
    item_.store(kNone, std::memory_order_relaxed);
    exception_ = nullptr;
  }
  bool is_before(std::size_t item) const { return item_.load(std::memory_order_relaxed) < item; }
  void record(std::size_t item, std::exception_ptr exception) {
    const std::lock_guard lock(mutex_);
    if (is_before(item)) return;
    item_.store(item, std::memory_order_relaxed);
    exception_ = std::move(exception);
  }
  void rethrow() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::atomic<std::size_t> item_ = kNone;
  std::exception_ptr exception_;
  std::mutex mutex_;
};

}  // namespace

class ThreadPool {
 public:
  ThreadPool() = default;
  /// No team has it, nor will.
  ~ThreadPool() {
    quit_.store(true, std::memory_order_release);
    for (auto& worker : workers_) {
      call(*worker);
      worker->thread.join();
    }
  }

  /// By the owner alone.
  void run(int threads, std::size_t items, const Job& job) {
    const std::size_t helpers = ensure(std::min<std::size_t>(threads - 1, items - 1));
    failure_.reset();
    job_ = &job;
    remaining_.store(static_cast<std::uint32_t>(items), std::memory_order_relaxed);
    ticket_.store(Ticket::of(items, threads), std::memory_order_release);
    for (std::size_t i = 0; i < helpers; ++i) call(*workers_[i]);
    work(0);
    for (std::uint32_t left; (left = remaining_.load(std::memory_order_acquire)) != 0;)
      wait_for_change(remaining_, left);
    failure_.rethrow();
  }

 private:
  struct alignas(64) Worker {
    std::atomic<std::uint32_t> calls = 0;
    std::thread thread;
  };

  // Starts threads up to `count`, or as many as the system gives.
  std::size_t ensure(std::size_t count) {
    if (workers_.size() >= count) return count;
    workers_.reserve(count);  // so that no thread starts without a place to join it from
    while (workers_.size() < count) {
      auto worker = std::make_unique<Worker>();
      const int number = static_cast<int>(workers_.size()) + 1;
      try {
        worker->thread = std::thread([this, number, own = worker.get()] { serve(number, *own); });
      } catch (const std::system_error&) {
        break;
      }
      workers_.push_back(std::move(worker));
    }
    return workers_.size();
  }

  static void call(Worker& worker) {
    worker.calls.fetch_add(1, std::memory_order_release);
    worker.calls.notify_one();
  }

  void serve(int number, Worker& own) {
    for (std::uint32_t seen = 0;;) {
      wait_for_change(own.calls, seen);
      seen = own.calls.load(std::memory_order_acquire);
      if (quit_.load(std::memory_order_acquire)) return;
      work(number);
    }
  }

  void work(int worker) {
    for (std::size_t item; claim(worker, item);) {
      if (!failure_.is_before(item)) {
        try {
          (*job_)(worker, item);
        } catch (...) {
          failure_.record(item, std::current_exception());
        }
      }
      if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) remaining_.notify_one();
    }
  }

  // A claim that succeeds is of the running job: that job cannot end before its item does, so a
  // worker that comes late finds either items of a later job, which are as good, or none. A later
  // team may have no room for this worker.
  bool claim(int worker, std::size_t& item) {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (Ticket::next(ticket) < Ticket::items(ticket) && worker < Ticket::threads(ticket)) {
      if (ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) {
        item = Ticket::next(ticket);
        return true;
      }
    }
    return false;
  }

  std::atomic<bool> quit_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;  // the owner's

  alignas(64) std::atomic<std::uint64_t> ticket_ = 0;
  alignas(64) std::atomic<std::uint32_t> remaining_ = 0;
  const Job* job_ = nullptr;
  FirstFailure failure_;
};

namespace {

// Whether a team has the workers. It has no destructor, so it may be asked at any time.
constinit std::atomic<bool> owned = false;

bool try_own() { return !owned.exchange(true, std::memory_order_acquire); }

void disown() {
  owned.store(false, std::memory_order_release);
  owned.notify_one();
}

// The process's one pool. It is built when the program or the addon is loaded, not by the first
// job, so that whatever is built later, such as the registry of the threads that run jobs, ends
// before it. Should a thread outlive that order, the team that has the workers ends first, and
// later ones run alone.
struct SharedPool {
  ThreadPool pool;
  ~SharedPool() {
    while (!try_own()) owned.wait(true, std::memory_order_relaxed);
  }
} shared;

}  // namespace

Team::Team(int threads) : threads_(threads) {}

Team::~Team() {
  if (pool_) disown();
}

void Team::run(std::size_t items, const Job& job) {
  if (!pool_ && items > 1 && threads_ > 1 && try_own()) pool_ = &shared.pool;
  if (!pool_ || items < 2) {
    for (std::size_t item = 0; item < items; ++item) job(0, item);
    return;
  }
  // A job of more items than a ticket counts is several.
  constexpr std::size_t most = Ticket::kItemMask;
  if (items <= most) return pool_->run(threads_, items, job);
  for (std::size_t first = 0; first < items; first += most)
    pool_->run(threads_, std::min(most, items - first),
               [&](int worker, std::size_t item) { job(worker, first + item); });
}

}  // namespace ffjord::cpu
