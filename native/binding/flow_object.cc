#include "binding/flow_object.h"

#include <algorithm>
#include <utility>

#include "binding/engines.h"
#include "binding/handles.h"
#include "binding/requests.h"
#include "binding/results.h"
#include "core/memory_need.h"

namespace ffjord::binding {
namespace {

std::size_t buffer_size(const ParameterLayout& layout, Buffer buffer) {
  return buffer == Buffer::Statistics ? layout.buffer_count : layout.parameter_count;
}

bool has_convolutions(const FlowDescription& flow) {
  return std::any_of(flow.blocks.begin(), flow.blocks.end(), [](const Block& block) {
    const auto* cnf = std::get_if<Cnf>(&block);
    return cnf && cnf->net.convolutional();
  });
}

[[noreturn]] void throw_disposed() {
  throw Error(ErrorCode::Disposed, "the flow was disposed; create or load it again");
}

std::size_t real_size(bool float64) { return float64 ? sizeof(double) : sizeof(float); }

// The seed of first weights; none for null.
std::optional<std::uint64_t> seed_or_none(const Napi::Value& value) {
  if (value.IsNull()) return std::nullopt;
  return whole_number(value, "seed", 0, kLargestInteger);
}

// Parameters, gradients and two moments.
std::int64_t bytes_of(const ParameterLayout& layout, bool float64) {
  return static_cast<std::int64_t>((4 * layout.parameter_count + layout.buffer_count) *
                                   real_size(float64));
}

Napi::PropertyDescriptor constant(const char* name, const Napi::Value& value) {
  return Napi::PropertyDescriptor::Value(name, value, napi_enumerable);
}

}  // namespace

/// Memory is taken and weights are drawn on the flow's thread.
class FlowObject::CreationJob : public Job {
 public:
  /// `object` lives until the job is settled, as its call's owner.
  CreationJob(FlowObject& object, std::optional<std::uint64_t> seed)
      : object_(object),
        engine_(*object.engine_),
        description_(object.description_),
        options_(object.engine_options_),
        seed_(seed) {}

 private:
  void work(const std::stop_token&) override {
    flow_ = engine_.create(description_, seed_, options_);
  }
  Napi::Value result(Napi::Env env) override {
    object_.adopt(env, std::move(flow_));
    return env.Undefined();
  }

  FlowObject& object_;
  const Engine& engine_;
  const FlowDescription description_;
  const EngineOptions options_;
  const std::optional<std::uint64_t> seed_;
  std::shared_ptr<Flow> flow_;
};

Napi::Function FlowObject::define(Napi::Env env, Environment& environment) {
  return DefineClass(
      env, "Flow",
      {
          InstanceMethod<&FlowObject::call<log_prob_job>>("logProb"),
          InstanceMethod<&FlowObject::call_sync<log_prob_job>>("logProbSync"),
          InstanceMethod<&FlowObject::call<certify_job>>("certify"),
          InstanceMethod<&FlowObject::call<score_job>>("score"),
          InstanceMethod<&FlowObject::call<sample_job>>("sample"),
          InstanceMethod<&FlowObject::call<loss_job>>("loss"),
          InstanceMethod<&FlowObject::call<step_job>>("step"),
          InstanceMethod<&FlowObject::call<solve_job>>("solve"),
          InstanceMethod<&FlowObject::call_sync<solve_job>>("solveSync"),
          InstanceMethod<&FlowObject::call<pullback_job>>("pullback"),
          InstanceMethod<&FlowObject::call<velocity_job>>("velocity"),
          InstanceMethod<&FlowObject::call<velocity_pullback_job>>("velocityPullback"),
          InstanceMethod<&FlowObject::call<train_job>>("train"),
          InstanceMethod<&FlowObject::call<idle_job>>("idle"),
          InstanceMethod<&FlowObject::direct<&FlowObject::make>>("make"),
          InstanceMethod<&FlowObject::direct<&FlowObject::traces>>("traces"),
          InstanceMethod<&FlowObject::direct<&FlowObject::read>>("read"),
          InstanceMethod<&FlowObject::direct<&FlowObject::write>>("write"),
          InstanceMethod<&FlowObject::direct<&FlowObject::zero_gradients>>("zeroGradients"),
          InstanceMethod<&FlowObject::direct<&FlowObject::upload>>("upload"),
          InstanceMethod<&FlowObject::direct<&FlowObject::upload_contexts>>("uploadContexts"),
          InstanceMethod<&FlowObject::direct<&FlowObject::dispose>>("dispose"),
      },
      &environment);
}

FlowObject::FlowObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FlowObject>(info),
      environment_(static_cast<Environment*>(info.Data())->shared_from_this()),
      worker_(environment_->mailbox()) {
  const Napi::Env env = info.Env();
  guarded(env, [&] {
    description_ = flow_description(info[0]);
    engine_ = &binding::engine(short_text(info[1], "device"));
    const std::optional<std::uint64_t> seed = seed_or_none(info[2]);
    engine_options_ = {static_cast<int>(whole_number(info[3], "threads", 0, 4096))};
    if (has_convolutions(description_) && !engine_->supports_convolutions)
      throw Error(ErrorCode::Unsupported, "device '" + engine_->name + "' has no convolutions yet");
    float64_ = engine_->float64;

    const FlowLayout layout(description_);
    const double need = memory_need(layout, real_size(float64_));
    info.This().As<Napi::Object>().DefineProperties(
        {constant("parameters", tensors(env, layout.parameters)),
         constant("buffers", tensors(env, layout.buffers)),
         constant("memory", Napi::Number::New(env, need))});
    environment_->add(worker_);
    if (seed) adopt(env, engine_->create(description_, seed, engine_options_));
  });
}

FlowObject::~FlowObject() { environment_->remove(worker_); }

void FlowObject::Finalize(Napi::BasicEnv env) { forget_memory(env); }

template <MakeJob make>
Napi::Value FlowObject::call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    std::unique_ptr<Job> job = make(context(env), info, ArrayUse::Copy);
    flow();  // a getter among the arguments may have disposed it
    const Napi::Promise::Deferred deferred(env);
    worker_.push({std::move(job), deferred, Napi::Persistent(info.This().As<Napi::Object>())});
    environment_->mailbox()->expect(env);
    return Napi::Value(deferred.Promise());
  });
}

template <MakeJob make>
Napi::Value FlowObject::call_sync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const std::unique_ptr<Job> job = make(context(env), info, ArrayUse::Borrow);
    worker_.wait_until_idle();
    job->run();
    return job->finish(env);
  });
}

template <Napi::Value (FlowObject::*method)(const Napi::CallbackInfo&)>
Napi::Value FlowObject::direct(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return (this->*method)(info); });
}

Napi::Value FlowObject::make(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<std::uint64_t> seed = seed_or_none(info[0]);
  if (state_ == State::Disposed) throw_disposed();
  if (state_ != State::Outline) refuse("this flow was made before");
  const Napi::Promise::Deferred deferred(env);
  worker_.push({std::make_unique<CreationJob>(*this, seed), deferred,
                Napi::Persistent(info.This().As<Napi::Object>())});
  state_ = State::Making;
  environment_->mailbox()->expect(env);
  return deferred.Promise();
}

void FlowObject::adopt(Napi::Env env, std::shared_ptr<Flow> flow) {
  if (state_ == State::Disposed) throw_disposed();
  flow_ = std::move(flow);
  state_ = State::Made;
  bytes_ = bytes_of(flow_->layout(), float64_);
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes_);
}

Napi::Value FlowObject::traces(const Napi::CallbackInfo& info) {
  if (state_ == State::Disposed) throw_disposed();
  const Settings settings = settings_request(Fields(info[0], "settings")).settings;
  std::vector<std::string> descriptions;
  for (const NetPlan& net : plan_nets(description_))
    descriptions.push_back(describe(plan_trace(net, settings.trace, settings.regularisers)));
  return strings(info.Env(), descriptions);
}

Napi::Value FlowObject::read(const Napi::CallbackInfo& info) {
  const Buffer buffer = binding::buffer(info[0]);
  Flow& flow = idle_flow();
  const NewArray array =
      new_array(info.Env(), *environment_, buffer_size(flow.layout(), buffer), float64_);
  flow.read(buffer, array.output);
  return array.value;
}

Napi::Value FlowObject::write(const Napi::CallbackInfo& info) {
  const Buffer buffer = binding::buffer(info[0]);
  Flow& flow = idle_flow();
  const HostArray values(info[1], "values", ArrayUse::Borrow);
  check_size(values, "values", buffer_size(flow.layout(), buffer));
  flow.write(buffer, values.view());
  return info.Env().Undefined();
}

Napi::Value FlowObject::zero_gradients(const Napi::CallbackInfo& info) {
  idle_flow().zero_gradients();
  return info.Env().Undefined();
}

Napi::Value FlowObject::upload(const Napi::CallbackInfo& info) {
  return keep_rows(info, &Flow::upload);
}

Napi::Value FlowObject::upload_contexts(const Napi::CallbackInfo& info) {
  return keep_rows(info, &Flow::upload_contexts);
}

Napi::Value FlowObject::keep_rows(const Napi::CallbackInfo& info, Upload upload) {
  const std::size_t count = whole_number(info[0], "count", 1, 0xFFFFFFFF);
  Flow& flow = idle_flow();
  const HostArray rows(info[1], "rows", ArrayUse::Borrow);
  const std::size_t size = rows.size();
  auto kept = std::make_shared<const KeptRows>(KeptRows{flow_, (flow.*upload)(count, rows.view())});
  const std::size_t bytes = size * real_size(float64_);
  Napi::Object handle = RowsHandle::create(environment_->rows_class(), std::move(kept), bytes);
  handle.DefineProperty(
      constant("count", Napi::Number::New(info.Env(), static_cast<double>(count))));
  return handle;
}

Napi::Value FlowObject::dispose(const Napi::CallbackInfo& info) {
  if (state_ != State::Disposed) {
    state_ = State::Disposed;
    flow_.reset();
    worker_.finish();
    forget_memory(info.Env());
  }
  return info.Env().Undefined();
}

const std::shared_ptr<Flow>& FlowObject::flow() const {
  if (state_ == State::Disposed) throw_disposed();
  if (!flow_) refuse("this flow is not made yet; await make() first");
  return flow_;
}

Flow& FlowObject::idle_flow() {
  Flow& live = *flow();
  worker_.wait_until_idle();
  return live;
}

void FlowObject::forget_memory(Napi::BasicEnv env) {
  Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
  bytes_ = 0;
}

}  // namespace ffjord::binding
