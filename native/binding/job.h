// One call on a flow: read on the JavaScript thread, computed on any thread, turned into JavaScript
// values on the first again. A job holds JavaScript references, so it is created and destroyed
// there.
#pragma once

#include <exception>
#include <list>
#include <memory>
#include <stop_token>
#include <utility>

#include "binding/napi_setup.h"
#include "core/engine.h"

namespace ffjord::binding {

class Job {
 public:
  explicit Job(std::shared_ptr<Flow> flow, std::stop_source stop = std::stop_source())
      : flow_(std::move(flow)), stop_(std::move(stop)) {}
  virtual ~Job() = default;

  /// Keeps what it throws for finish(). A job that was stopped before it began is not computed.
  void run() noexcept {
    try {
      if (stop_.stop_requested()) throw Error(ErrorCode::Cancelled, "stopped before it began");
      compute(*flow_, stop_.get_token());
    } catch (...) {
      exception_ = std::current_exception();
    }
  }

  /// The call's value; throws what run() met.
  Napi::Value finish(Napi::Env env) {
    if (exception_) std::rethrow_exception(exception_);
    return result(env);
  }

  void request_stop() { stop_.request_stop(); }

 protected:
  virtual void compute(Flow& flow, const std::stop_token& stop) = 0;
  virtual Napi::Value result(Napi::Env env) = 0;

  const std::shared_ptr<Flow>& flow() const { return flow_; }
  const std::stop_source& stop() const { return stop_; }

 private:
  std::shared_ptr<Flow> flow_;  // outlives dispose() until the job is done
  std::stop_source stop_;
  std::exception_ptr exception_;
};

/// A job that JavaScript awaits.
struct PendingCall {
  std::unique_ptr<Job> job;
  Napi::Promise::Deferred deferred;
  Napi::ObjectReference owner;  // keeps the flow's object from being collected
};

/// Calls move from list to list by their nodes, which needs no memory and so cannot fail.
using PendingCalls = std::list<PendingCall>;

}  // namespace ffjord::binding
