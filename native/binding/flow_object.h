// The JavaScript object of one flow on one device.
#pragma once

#include <memory>
#include <optional>

#include "binding/environment.h"
#include "binding/jobs.h"
#include "binding/worker.h"
#include "core/engine.h"

namespace ffjord::binding {

/// Asynchronous calls run in order on the flow's own thread; synchronous ones wait until that is
/// idle and run on the JavaScript thread, so a flow is never used by two threads at once.
class FlowObject : public Napi::ObjectWrap<FlowObject> {
 public:
  static Napi::Function define(Napi::Env env, Environment& environment);

  /// (description, device, seed, threads): a flow with weights drawn from the seed. Without a seed
  /// (null) there is none yet, only its layout and what memory it needs, until `make`.
  explicit FlowObject(const Napi::CallbackInfo& info);
  ~FlowObject() override;
  void Finalize(Napi::BasicEnv env) override;

 private:
  template <MakeJob make>
  Napi::Value call(const Napi::CallbackInfo& info);
  template <MakeJob make>
  Napi::Value call_sync(const Napi::CallbackInfo& info);
  /// A method that runs at once, with errors mapped.
  template <Napi::Value (FlowObject::*method)(const Napi::CallbackInfo&)>
  Napi::Value direct(const Napi::CallbackInfo& info);

  /// (seed): makes the flow on its own thread, with weights drawn from the seed, or zeros for null.
  Napi::Value make(const Napi::CallbackInfo& info);
  Napi::Value traces(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value zero_gradients(const Napi::CallbackInfo& info);
  Napi::Value upload(const Napi::CallbackInfo& info);
  Napi::Value upload_contexts(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  using Upload = std::unique_ptr<Rows> (Flow::*)(std::size_t count, const Input& rows);
  Napi::Value keep_rows(const Napi::CallbackInfo& info, Upload upload);

  /// The flow, for a call that is about to be made. Throws Error(Disposed).
  const std::shared_ptr<Flow>& flow() const;
  /// The same, once the flow's thread is idle.
  Flow& idle_flow();
  JobContext context(Napi::Env env) const { return {env, *environment_, flow()}; }
  void adopt(Napi::Env env, std::shared_ptr<Flow> flow);
  void forget_memory(Napi::BasicEnv env);

  class CreationJob;

  const std::shared_ptr<Environment> environment_;
  FlowDescription description_;
  const Engine* engine_ = nullptr;
  EngineOptions engine_options_;
  bool float64_ = false;
  enum class State { Outline, Making, Made, Disposed } state_ = State::Outline;
  std::int64_t bytes_ = 0;      // as garbage collection was told
  std::shared_ptr<Flow> flow_;  // null unless made; pending calls hold it until they are done
  Worker worker_;
};

}  // namespace ffjord::binding
