// The JavaScript object of a group of processes that train together.
#pragma once

#include <memory>

#include "binding/arguments.h"
#include "binding/environment.h"
#include "binding/worker.h"
#include "core/group.h"

namespace ffjord::binding {

/// Asynchronous calls are calls of all ranks, one after the other on a thread of the group's own.
class GroupObject : public Napi::ObjectWrap<GroupObject> {
 public:
  static Napi::Function define(Napi::Env env, Environment& environment);

  /// (deadline): joins the processes that were started with this one.
  explicit GroupObject(const Napi::CallbackInfo& info);
  ~GroupObject() override { environment_->remove(worker_); }

  /// The group that `call` names; null where it names none.
  static std::shared_ptr<Group> of(const Fields& call);

 private:
  class Call;
  template <class Body>
  Napi::Value run(const Napi::CallbackInfo& info, std::vector<double> values, const Body& body);
  template <auto member>
  Napi::Value method(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return (this->*member)(info); });
  }

  Napi::Value transport(const Napi::CallbackInfo& info);
  Napi::Value library(const Napi::CallbackInfo& info);
  Napi::Value sum(const Napi::CallbackInfo& info);
  Napi::Value broadcast(const Napi::CallbackInfo& info);
  Napi::Value fail(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  Napi::Value leave(const Napi::CallbackInfo& info);
  Napi::Value abort(const Napi::CallbackInfo& info);
  Napi::Value ended(const Napi::CallbackInfo& info);

  const std::shared_ptr<Environment> environment_;
  std::shared_ptr<Group> group_;
  Worker worker_;
};

/// Which libraries of MPI and NCCL open on this machine, their versions, and why not.
Napi::Value library_list(const Napi::CallbackInfo& info);

}  // namespace ffjord::binding
