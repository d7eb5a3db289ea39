// How finished calls come back to the JavaScript thread: one mailbox an environment, shared by the
// threads of all its flows.
#pragma once

#include <memory>
#include <mutex>

#include "binding/job.h"
#include "binding/napi_setup.h"

namespace ffjord::binding {

class Mailbox {
 public:
  explicit Mailbox(Napi::Env env);

  /// One more call is under way: the event loop stays alive until it is settled. JavaScript thread.
  void expect(Napi::Env env);
  /// Takes calls that are done. Any thread.
  void post(PendingCalls& calls);
  /// Drops what was not settled; the environment ends. JavaScript thread, after all other threads.
  void close();

 private:
  static void receive(Napi::Env env, Napi::Function, Mailbox* mailbox, void*);
  using Signal = Napi::TypedThreadSafeFunction<Mailbox, void, receive>;

  void settle_all(Napi::Env env);

  Signal signal_;
  std::size_t expected_ = 0;  // JavaScript thread alone
  std::mutex mutex_;
  PendingCalls done_;
};

}  // namespace ffjord::binding
