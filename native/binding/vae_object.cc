#include "binding/vae_object.h"

#include "binding/vae_jobs.h"
#include "binding/vae_lesson.h"

namespace ffjord::binding {

Napi::Function VaeObject::define(Napi::Env env, Environment& environment) {
  using Object = VaeObject;
  return DefineClass(
      env, "Vae",
      {
          InstanceMethod<&Object::method<&Object::call<elbo_job>>>("elbo"),
          InstanceMethod<&Object::method<&Object::call<vae_loss_job>>>("loss"),
          InstanceMethod<&Object::method<&Object::call<encode_job>>>("encode"),
          InstanceMethod<&Object::method<&Object::call<decode_job>>>("decode"),
          InstanceMethod<&Object::method<&Object::call<log_likelihood_job>>>("logLikelihood"),
          InstanceMethod<&Object::method<&Object::call<step_job<Vae>>>>("step"),
          InstanceMethod<&Object::method<&Object::call<train_job<VaeLesson>>>>("train"),
          InstanceMethod<&Object::method<&Object::make>>("make"),
          InstanceMethod<&Object::method<&Object::read>>("read"),
          InstanceMethod<&Object::method<&Object::write>>("write"),
          InstanceMethod<&Object::method<&Object::zero_gradients>>("zeroGradients"),
          InstanceMethod<&Object::method<&Object::upload>>("upload"),
          InstanceMethod<&Object::method<&Object::dispose>>("dispose"),
      },
      &environment);
}

VaeLayout VaeObject::layout_of(const Engine& engine, const VaeDescription& description) {
  if (!engine.create_vae)
    throw Error(ErrorCode::Unsupported,
                "device '" + engine.name + "' has no autoencoders yet; use device 'cpu'");
  return VaeLayout(description);
}

Napi::Value VaeObject::upload(const Napi::CallbackInfo& info) {
  return keep_rows(
      info, environment().images_class(),
      [](Vae& vae, std::size_t count, const Input& images) { return vae.upload(count, images); });
}

}  // namespace ffjord::binding
