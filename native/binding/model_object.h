// The JavaScript object of one model on one device: what a flow and an autoencoder have in common.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "binding/engines.h"
#include "binding/environment.h"
#include "binding/handles.h"
#include "binding/jobs.h"
#include "binding/requests.h"
#include "binding/results.h"
#include "binding/worker.h"
#include "core/engine.h"
#include "core/memory_need.h"
#include "core/vae.h"

namespace ffjord::binding {

/// Asynchronous calls run in order on the model's own thread; synchronous ones wait until that is
/// idle and run on the JavaScript thread, so a model is never used by two threads at once.
///
/// `Object` derives from this, and has: `kName`, what errors call a model; `read_description`;
/// `layout_of`, which refuses what the engine cannot make; `create`, as Engine's; and `method`, by
/// which its class is defined from members that throw.
template <class Object, class Model, class Description>
class ModelObject : public Napi::ObjectWrap<Object> {
 public:
  /// (description, device, seed, threads): a model with weights drawn from the seed. Without a seed
  /// (null) there is none yet, only its layout and what memory it needs, until `make`.
  explicit ModelObject(const Napi::CallbackInfo& info);
  ~ModelObject() override { environment_->remove(worker_); }
  void Finalize(Napi::BasicEnv env) override { forget_memory(env); }

 protected:
  using Value = Napi::Value;
  using Info = Napi::CallbackInfo;

  template <MakeJob<Model> make>
  Value call(const Info& info);
  template <MakeJob<Model> make>
  Value call_sync(const Info& info);

  /// (seed): makes the model on its own thread, with weights drawn from the seed, or zeros for
  /// null.
  Value make(const Info& info);
  Value read(const Info& info);
  Value write(const Info& info);
  Value zero_gradients(const Info& info);
  Value dispose(const Info& info);

  /// (count, rows) → a handle of what `upload(model, count, rows)` keeps.
  template <class Upload>
  Value keep_rows(const Info& info, const Napi::FunctionReference& handles, const Upload& upload);
  /// A handle of `count` rows, which take `bytes`.
  Value handle_of(Napi::Env env, const Napi::FunctionReference& handles, std::unique_ptr<Rows> rows,
                  std::size_t count, std::size_t bytes);

  /// The model, for a call that is about to be made. Throws Error(Disposed).
  const std::shared_ptr<Model>& model() const;
  /// The same, once the model's thread is idle.
  Model& idle_model();

  const Environment& environment() const { return *environment_; }
  const Description& description() const { return description_; }
  void require_living() const;

 private:
  class CreationJob;

  JobContext<Model> context(Napi::Env env) const { return {env, *environment_, model()}; }
  void adopt(Napi::Env env, std::shared_ptr<Model> model);
  void forget_memory(Napi::BasicEnv env);
  std::size_t real_size() const { return float64_ ? sizeof(double) : sizeof(float); }

  const std::shared_ptr<Environment> environment_;
  Description description_;
  const Engine* engine_ = nullptr;
  EngineOptions engine_options_;
  bool float64_ = false;
  enum class State { Outline, Making, Made, Disposed } state_ = State::Outline;
  std::int64_t bytes_ = 0;        // as garbage collection was told
  std::shared_ptr<Model> model_;  // null unless made; pending calls hold it until they are done
  Worker worker_;
};

inline std::size_t buffer_size(const ParameterLayout& layout, Buffer buffer) {
  return buffer == Buffer::Statistics ? layout.buffer_count : layout.parameter_count;
}

/// The seed of first weights; none for null.
inline std::optional<std::uint64_t> seed_or_none(const Napi::Value& value) {
  if (value.IsNull()) return std::nullopt;
  return whole_number(value, "seed", 0, kLargestInteger);
}

inline Napi::PropertyDescriptor constant(const char* name, const Napi::Value& value) {
  return Napi::PropertyDescriptor::Value(name, value, napi_enumerable);
}

/// Memory is taken and weights are drawn on the model's thread.
template <class Object, class Model, class Description>
class ModelObject<Object, Model, Description>::CreationJob : public Job {
 public:
  /// `object` lives until the job is settled, as its call's owner.
  CreationJob(ModelObject& object, std::optional<std::uint64_t> seed)
      : object_(object),
        engine_(*object.engine_),
        description_(object.description_),
        options_(object.engine_options_),
        seed_(seed) {}

 private:
  void work(const std::stop_token&) override {
    model_ = Object::create(engine_, description_, seed_, options_);
  }
  Napi::Value result(Napi::Env env) override {
    object_.adopt(env, std::move(model_));
    return env.Undefined();
  }

  ModelObject& object_;
  const Engine& engine_;
  const Description description_;
  const EngineOptions options_;
  const std::optional<std::uint64_t> seed_;
  std::shared_ptr<Model> model_;
};

template <class Object, class Model, class Description>
ModelObject<Object, Model, Description>::ModelObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Object>(info),
      environment_(static_cast<Environment*>(info.Data())->shared_from_this()),
      worker_(environment_->mailbox()) {
  const Napi::Env env = info.Env();
  guarded(env, [&] {
    description_ = Object::read_description(info[0]);
    engine_ = &binding::engine(short_text(info[1], "device"));
    const std::optional<std::uint64_t> seed = seed_or_none(info[2]);
    engine_options_ = {static_cast<int>(whole_number(info[3], "threads", 0, 4096))};
    float64_ = engine_->float64;
    const auto layout = Object::layout_of(*engine_, description_);
    info.This().template As<Napi::Object>().DefineProperties(
        {constant("parameters", tensors(env, layout.parameters)),
         constant("buffers", tensors(env, layout.buffers)),
         constant("memory", Napi::Number::New(env, memory_need(layout, real_size())))});
    environment_->add(worker_);
    if (seed) adopt(env, Object::create(*engine_, description_, seed, engine_options_));
  });
}

template <class Object, class Model, class Description>
template <MakeJob<Model> make>
Napi::Value ModelObject<Object, Model, Description>::call(const Info& info) {
  const Napi::Env env = info.Env();
  std::unique_ptr<Job> job = make(context(env), info, ArrayUse::Copy);
  model();  // a getter among the arguments may have disposed it
  const Napi::Promise::Deferred deferred(env);
  worker_.push({std::move(job), deferred, Napi::Persistent(info.This().As<Napi::Object>())});
  environment_->mailbox()->expect(env);
  return deferred.Promise();
}

template <class Object, class Model, class Description>
template <MakeJob<Model> make>
Napi::Value ModelObject<Object, Model, Description>::call_sync(const Info& info) {
  const Napi::Env env = info.Env();
  const std::unique_ptr<Job> job = make(context(env), info, ArrayUse::Borrow);
  worker_.wait_until_idle();
  job->run();
  return job->finish(env);
}

template <class Object, class Model, class Description>
Napi::Value ModelObject<Object, Model, Description>::make(const Info& info) {
  const Napi::Env env = info.Env();
  const std::optional<std::uint64_t> seed = seed_or_none(info[0]);
  require_living();
  if (state_ != State::Outline) refuse("this " + std::string(Object::kName) + " was made before");
  const Napi::Promise::Deferred deferred(env);
  worker_.push({std::make_unique<CreationJob>(*this, seed), deferred,
                Napi::Persistent(info.This().As<Napi::Object>())});
  state_ = State::Making;
  environment_->mailbox()->expect(env);
  return deferred.Promise();
}

template <class Object, class Model, class Description>
void ModelObject<Object, Model, Description>::adopt(Napi::Env env, std::shared_ptr<Model> model) {
  require_living();
  model_ = std::move(model);
  state_ = State::Made;
  // Parameters, gradients and two moments.
  const ParameterLayout& layout = model_->layout();
  bytes_ =
      static_cast<std::int64_t>((4 * layout.parameter_count + layout.buffer_count) * real_size());
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes_);
}

template <class Object, class Model, class Description>
Napi::Value ModelObject<Object, Model, Description>::read(const Info& info) {
  const Buffer buffer = binding::buffer(info[0]);
  Model& model = idle_model();
  const NewArray array =
      new_array(info.Env(), *environment_, buffer_size(model.layout(), buffer), float64_);
  model.read(buffer, array.output);
  return array.value;
}

template <class Object, class Model, class Description>
Napi::Value ModelObject<Object, Model, Description>::write(const Info& info) {
  const Buffer buffer = binding::buffer(info[0]);
  Model& model = idle_model();
  const HostArray values(info[1], "values", ArrayUse::Borrow);
  check_size(values, "values", buffer_size(model.layout(), buffer));
  model.write(buffer, values.view());
  return info.Env().Undefined();
}

template <class Object, class Model, class Description>
Napi::Value ModelObject<Object, Model, Description>::zero_gradients(const Info& info) {
  idle_model().zero_gradients();
  return info.Env().Undefined();
}

template <class Object, class Model, class Description>
template <class Upload>
Napi::Value ModelObject<Object, Model, Description>::keep_rows(
    const Info& info, const Napi::FunctionReference& handles, const Upload& upload) {
  const std::size_t count = whole_number(info[0], "count", 1, 0xFFFFFFFF);
  Model& model = idle_model();
  const HostArray rows(info[1], "rows", ArrayUse::Borrow);
  const std::size_t bytes = rows.size() * real_size();
  return handle_of(info.Env(), handles, upload(model, count, rows.view()), count, bytes);
}

template <class Object, class Model, class Description>
Napi::Value ModelObject<Object, Model, Description>::handle_of(
    Napi::Env env, const Napi::FunctionReference& handles, std::unique_ptr<Rows> rows,
    std::size_t count, std::size_t bytes) {
  auto kept = std::make_shared<const KeptRows<Model>>(KeptRows<Model>{model_, std::move(rows)});
  Napi::Object handle = Handle<KeptRows<Model>>::create(handles, std::move(kept), bytes);
  handle.DefineProperty(constant("count", Napi::Number::New(env, static_cast<double>(count))));
  return handle;
}

template <class Object, class Model, class Description>
Napi::Value ModelObject<Object, Model, Description>::dispose(const Info& info) {
  if (state_ != State::Disposed) {
    state_ = State::Disposed;
    model_.reset();
    worker_.finish();
    forget_memory(info.Env());
  }
  return info.Env().Undefined();
}

template <class Object, class Model, class Description>
const std::shared_ptr<Model>& ModelObject<Object, Model, Description>::model() const {
  require_living();
  if (!model_)
    refuse("this " + std::string(Object::kName) + " is not made yet; await make() first");
  return model_;
}

template <class Object, class Model, class Description>
Model& ModelObject<Object, Model, Description>::idle_model() {
  Model& live = *model();
  worker_.wait_until_idle();
  return live;
}

template <class Object, class Model, class Description>
void ModelObject<Object, Model, Description>::require_living() const {
  if (state_ == State::Disposed)
    throw Error(ErrorCode::Disposed,
                "the " + std::string(Object::kName) + " was disposed; create or load it again");
}

template <class Object, class Model, class Description>
void ModelObject<Object, Model, Description>::forget_memory(Napi::BasicEnv env) {
  Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
  bytes_ = 0;
}

}  // namespace ffjord::binding
