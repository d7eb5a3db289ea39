// How finished calls come back to the JavaScript thread: one mailbox an environment, shared by the
// threads of all its flows.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "binding/job.h"
#include "binding/napi_setup.h"

namespace ffjord::binding {

class Mailbox {
 public:
  explicit Mailbox(Napi::Env env);

  /// One more call is under way: the event loop stays alive until it is settled. JavaScript thread.
  void expect(Napi::Env env);
  /// A call is done. Any thread.
  void post(std::unique_ptr<PendingCall> call);
  /// Drops what was not settled; the environment ends. JavaScript thread, after all other threads.
  void close();

 private:
  static void receive(Napi::Env env, Napi::Function, Mailbox* mailbox, void*);
  using Signal = Napi::TypedThreadSafeFunction<Mailbox, void, receive>;

  void settle_all(Napi::Env env);

  Signal signal_;
  std::size_t expected_ = 0;  // JavaScript thread alone
  std::mutex mutex_;
  std::vector<std::unique_ptr<PendingCall>> done_;
};

}  // namespace ffjord::binding
