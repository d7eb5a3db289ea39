#include "binding/handles.h"

#include <type_traits>

namespace ffjord::binding {
namespace {

template <class Kept>
struct Kind;
template <>
struct Kind<KeptTape> {
  static constexpr napi_type_tag tag{0x8d1f0a5c3b7e4426, 0xb1f57e02c96d4a13};
  static constexpr const char* class_name = "Tape";
  static constexpr const char* name = "tape";
};
template <>
struct Kind<KeptRows<Flow>> {
  static constexpr napi_type_tag tag{0x4be2c7719a0d4f58, 0x93d6650f1ec84b2a};
  static constexpr const char* class_name = "Rows";
  static constexpr const char* name = "rows";
};
template <>
struct Kind<KeptRows<Vae>> {
  static constexpr napi_type_tag tag{0x61c9d20be7834af5, 0x8a3e05f4d17b96c2};
  static constexpr const char* class_name = "Images";
  static constexpr const char* name = "images";
};
constexpr napi_type_tag kStopTag{0x2f6b9d8844c14e07, 0xa7c0315be6f9427d};

bool is_tagged(const Napi::Value& value, const napi_type_tag& tag) {
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&tag);
}

}  // namespace

template <class Kept>
Napi::Function Handle<Kept>::define(Napi::Env env) {
  return Handle::DefineClass(env, Kind<Kept>::class_name,
                             {Handle::template InstanceMethod<&Handle::release>("release")});
}

template <class Kept>
Handle<Kept>::Handle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Handle>(info) {
  info.This().template As<Napi::Object>().TypeTag(&Kind<Kept>::tag);
}

template <class Kept>
Napi::Object Handle<Kept>::create(const Napi::FunctionReference& constructor,
                                  std::shared_ptr<const Kept> kept, std::size_t bytes) {
  const Napi::Object object = constructor.New({});
  Handle* handle = Handle::Unwrap(object);
  handle->kept_ = std::move(kept);
  handle->bytes_ = static_cast<std::int64_t>(bytes);
  Napi::MemoryManagement::AdjustExternalMemory(object.Env(), handle->bytes_);
  return object;
}

template <class Kept>
std::shared_ptr<const Kept> Handle<Kept>::of(const Napi::Value& value,
                                             const typename Kept::Model* model) {
  const std::string name = Kind<Kept>::name;
  const std::string kind = std::is_same_v<typename Kept::Model, Flow> ? "flow" : "model";
  if (!is_tagged(value, Kind<Kept>::tag))
    refuse(name + " must be the handle that this " + kind + " made");
  const auto& kept = Handle::Unwrap(value.As<Napi::Object>())->kept_;
  if (!kept) refuse("this " + name + " was released");
  if (kept->model.get() != model) refuse("this " + name + " belongs to another " + kind);
  return kept;
}

template <class Kept>
void Handle<Kept>::Finalize(Napi::BasicEnv env) {
  forget(env);
}

template <class Kept>
void Handle<Kept>::release(const Napi::CallbackInfo& info) {
  forget(info.Env());
}

template <class Kept>
void Handle<Kept>::forget(Napi::BasicEnv env) {
  if (!kept_) return;
  kept_.reset();
  Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
}

template class Handle<KeptTape>;
template class Handle<KeptRows<Flow>>;
template class Handle<KeptRows<Vae>>;

Napi::Function StopHandle::define(Napi::Env env) {
  return DefineClass(env, "Stop", {InstanceMethod<&StopHandle::request>("request")});
}

StopHandle::StopHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StopHandle>(info) {
  info.This().As<Napi::Object>().TypeTag(&kStopTag);
}

std::stop_source StopHandle::of(const Fields& call) {
  const Napi::Value value = call["stop"];
  if (value.IsUndefined()) return std::stop_source();
  if (!is_tagged(value, kStopTag)) refuse(call.path("stop") + " must be a Stop");
  return Unwrap(value.As<Napi::Object>())->source_;
}

void StopHandle::request(const Napi::CallbackInfo&) { source_.request_stop(); }

}  // namespace ffjord::binding
