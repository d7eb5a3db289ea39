// The end of a process whose threads still run jobs: what joins them may be older or younger than
// the thread pool, and no team that they make meanwhile may find the pool gone. Fails by a signal,
// a hang, or a job that did not run whole; a build with AddressSanitizer sees the rest.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "cpu/thread_pool.h"

namespace {

using namespace std::chrono_literals;

// A thread that runs jobs until this object ends, some hundred jobs after the process began to.
class Jobs {
 public:
  explicit Jobs(const char* name) : name_(name) {}
  void begin() {
    thread_ = std::thread([this] {
      while (!stop_) run();
    });
  }
  ~Jobs() {
    const int before = jobs_;
    while (jobs_ < before + 300) std::this_thread::sleep_for(1ms);
    stop_ = true;
    thread_.join();
    std::printf("%s: %d jobs, %d of them while the process ended\n", name_, jobs_.load(),
                jobs_ - before);
    if (torn_ > 0) {
      std::printf("%d did not run whole\n", torn_.load());
      std::_Exit(1);
    }
  }

 private:
  void run() {
    std::atomic<int> items = 0;
    ffjord::cpu::Team(3).run(5, [&](int, std::size_t) { ++items; });
    ++jobs_;
    if (items != 5) ++torn_;
  }

  const char* const name_;
  std::atomic<int> jobs_ = 0, torn_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

Jobs older("older than the pool");  // as this file is linked before the pool's

}  // namespace

int main() {
  static Jobs younger("younger than the pool");
  older.begin();
  younger.begin();
  std::this_thread::sleep_for(20ms);
  std::exit(0);
}
