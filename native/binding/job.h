// One call of JavaScript: read on its thread, computed on any thread, turned into JavaScript values
// on the first again. A job holds JavaScript references, so it is created and destroyed there.
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
  explicit Job(std::stop_source stop = std::stop_source()) : stop_(std::move(stop)) {}
  virtual ~Job() = default;

  /// Keeps what it throws for finish(). A job that was stopped before it began is not computed.
  void run() noexcept {
    try {
      if (stop_.stop_requested()) throw Error(ErrorCode::Cancelled, "stopped before it began");
      work(stop_.get_token());
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
  virtual void work(const std::stop_token& stop) = 0;
  virtual Napi::Value result(Napi::Env env) = 0;

  const std::stop_source& stop() const { return stop_; }

 private:
  std::stop_source stop_;
  std::exception_ptr exception_;
};

/// A call on a model.
template <class Model>
class ModelJob : public Job {
 public:
  explicit ModelJob(std::shared_ptr<Model> model, std::stop_source stop = std::stop_source())
      : Job(std::move(stop)), model_(std::move(model)) {}

 protected:
  virtual void compute(Model& model, const std::stop_token& stop) = 0;
  void work(const std::stop_token& stop) override { compute(*model_, stop); }

  const std::shared_ptr<Model>& model() const { return model_; }

 private:
  std::shared_ptr<Model> model_;  // outlives dispose() until the job is done
};
using FlowJob = ModelJob<Flow>;

/// A job that JavaScript awaits.
struct PendingCall {
  std::unique_ptr<Job> job;
  Napi::Promise::Deferred deferred;
  Napi::ObjectReference owner;  // keeps the model's object from being collected
};

/// Calls move from list to list by their nodes, which needs no memory and so cannot fail.
using PendingCalls = std::list<PendingCall>;

}  // namespace ffjord::binding
