// The JavaScript object of one flow on one device.
#pragma once

#include "binding/model_object.h"

namespace ffjord::binding {

class FlowObject : public ModelObject<FlowObject, Flow, FlowDescription> {
 public:
  static Napi::Function define(Napi::Env env, Environment& environment);
  using ModelObject::ModelObject;

  static constexpr const char* kName = "flow";
  static FlowDescription read_description(const Napi::Value& value) {
    return flow_description(value);
  }
  static FlowLayout layout_of(const Engine& engine, const FlowDescription& description);
  static std::unique_ptr<Flow> create(const Engine& engine, const FlowDescription& description,
                                      std::optional<std::uint64_t> seed,
                                      const EngineOptions& options) {
    return engine.create(description, seed, options);
  }

 private:
  template <auto member>
  Napi::Value method(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return (this->*member)(info); });
  }

  Napi::Value traces(const Napi::CallbackInfo& info);
  Napi::Value upload(const Napi::CallbackInfo& info);
  Napi::Value upload_contexts(const Napi::CallbackInfo& info);
  Napi::Value upload_images(const Napi::CallbackInfo& info);
};

}  // namespace ffjord::binding
