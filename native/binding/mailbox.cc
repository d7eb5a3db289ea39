#include "binding/mailbox.h"

#include "binding/errors.h"

namespace ffjord::binding {
namespace {

void settle(Napi::Env env, PendingCall& call) {
  const Napi::HandleScope scope(env);
  try {
    try {
      call.deferred.Resolve(call.job->finish(env));
    } catch (...) {
      call.deferred.Reject(to_javascript(env, std::current_exception()).Value());
    }
  } catch (const Napi::Error&) {
    // JavaScript is being terminated and takes no more values.
  }
}

}  // namespace

Mailbox::Mailbox(Napi::Env env) : signal_(Signal::New(env, "ffjord", 0, 1, this)) {
  signal_.Unref(env);
}

void Mailbox::expect(Napi::Env env) {
  if (expected_++ == 0) signal_.Ref(env);
}

void Mailbox::post(PendingCalls& calls) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = done_.empty();
    done_.splice(done_.end(), calls);
  }
  if (first) signal_.NonBlockingCall();
}

void Mailbox::close() {
  done_.clear();
  signal_.Release();
}

void Mailbox::receive(Napi::Env env, Napi::Function, Mailbox* mailbox, void*) {
  if (static_cast<napi_env>(env) != nullptr) mailbox->settle_all(env);
}

void Mailbox::settle_all(Napi::Env env) {
  PendingCalls calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(done_);
  }
  for (PendingCall& call : calls) settle(env, call);
  expected_ -= calls.size();
  if (expected_ == 0 && !calls.empty()) signal_.Unref(env);
}

}  // namespace ffjord::binding
