// The JavaScript object of one variational autoencoder on one device.
#pragma once

#include "binding/model_object.h"
#include "binding/vae_requests.h"

namespace ffjord::binding {

class VaeObject : public ModelObject<VaeObject, Vae, VaeDescription> {
 public:
  static Napi::Function define(Napi::Env env, Environment& environment);
  using ModelObject::ModelObject;

  static constexpr const char* kName = "model";
  static VaeDescription read_description(const Napi::Value& value) {
    return vae_description(value);
  }
  static VaeLayout layout_of(const Engine& engine, const VaeDescription& description);
  static std::unique_ptr<Vae> create(const Engine& engine, const VaeDescription& description,
                                     std::optional<std::uint64_t> seed,
                                     const EngineOptions& options) {
    return engine.create_vae(description, seed, options);
  }

 private:
  template <auto member>
  Napi::Value method(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return (this->*member)(info); });
  }

  Napi::Value upload(const Napi::CallbackInfo& info);
};

}  // namespace ffjord::binding
