// The thread of one flow: runs its calls one after the other. It starts with the first call.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "binding/mailbox.h"

namespace ffjord::binding {

/// All members but the loop are for the JavaScript thread. The thread sleeps between calls:
/// spinning for some microseconds first made a round trip slower, not faster (17 against 7 µs on
/// two cores).
class Worker {
 public:
  explicit Worker(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void push(PendingCall call);
  /// Returns when no call is waiting or running.
  void wait_until_idle();
  /// Ends the thread after the calls that are under way; none may follow.
  void finish();
  /// Ends the thread as soon as the running call heeds its stop; waiting calls are dropped.
  void abandon();
  /// As abandon(), but leaves all calls where they are: for the end of the process, when what they
  /// hold of JavaScript may no longer be touched.
  void halt();
  void join();

 private:
  void loop();

  const std::shared_ptr<Mailbox> mailbox_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  PendingCalls waiting_, running_;  // one runs at most
  bool ending_ = false, halted_ = false;
  std::thread thread_;
};

}  // namespace ffjord::binding
