#include "binding/flow_object.h"

#include <algorithm>

#include "binding/flow_lesson.h"

namespace ffjord::binding {
namespace {

bool has_convolutions(const FlowDescription& flow) {
  return std::any_of(flow.blocks.begin(), flow.blocks.end(), [](const Block& block) {
    const auto* cnf = std::get_if<Cnf>(&block);
    return cnf && cnf->net.convolutional();
  });
}

}  // namespace

Napi::Function FlowObject::define(Napi::Env env, Environment& environment) {
  using Object = FlowObject;
  return DefineClass(
      env, "Flow",
      {
          InstanceMethod<&Object::method<&Object::call<log_prob_job>>>("logProb"),
          InstanceMethod<&Object::method<&Object::call_sync<log_prob_job>>>("logProbSync"),
          InstanceMethod<&Object::method<&Object::call<certify_job>>>("certify"),
          InstanceMethod<&Object::method<&Object::call<score_job>>>("score"),
          InstanceMethod<&Object::method<&Object::call<sample_job>>>("sample"),
          InstanceMethod<&Object::method<&Object::call<loss_job>>>("loss"),
          InstanceMethod<&Object::method<&Object::call<step_job<Flow>>>>("step"),
          InstanceMethod<&Object::method<&Object::call<solve_job>>>("solve"),
          InstanceMethod<&Object::method<&Object::call_sync<solve_job>>>("solveSync"),
          InstanceMethod<&Object::method<&Object::call<pullback_job>>>("pullback"),
          InstanceMethod<&Object::method<&Object::call<velocity_job>>>("velocity"),
          InstanceMethod<&Object::method<&Object::call<velocity_pullback_job>>>("velocityPullback"),
          InstanceMethod<&Object::method<&Object::call<train_job<FlowLesson>>>>("train"),
          InstanceMethod<&Object::method<&Object::call<idle_job>>>("idle"),
          InstanceMethod<&Object::method<&Object::make>>("make"),
          InstanceMethod<&Object::method<&Object::traces>>("traces"),
          InstanceMethod<&Object::method<&Object::read>>("read"),
          InstanceMethod<&Object::method<&Object::write>>("write"),
          InstanceMethod<&Object::method<&Object::zero_gradients>>("zeroGradients"),
          InstanceMethod<&Object::method<&Object::upload>>("upload"),
          InstanceMethod<&Object::method<&Object::upload_contexts>>("uploadContexts"),
          InstanceMethod<&Object::method<&Object::upload_images>>("uploadImages"),
          InstanceMethod<&Object::method<&Object::dispose>>("dispose"),
      },
      &environment);
}

FlowLayout FlowObject::layout_of(const Engine& engine, const FlowDescription& description) {
  if (has_convolutions(description) && !engine.supports_convolutions)
    throw Error(ErrorCode::Unsupported, "device '" + engine.name + "' has no convolutions yet");
  return FlowLayout(description);
}

Napi::Value FlowObject::traces(const Napi::CallbackInfo& info) {
  require_living();
  const Settings settings = settings_request(Fields(info[0], "settings")).settings;
  std::vector<std::string> descriptions;
  for (const NetPlan& net : plan_nets(description()))
    descriptions.push_back(describe(plan_trace(net, settings.trace, settings.regularisers)));
  return strings(info.Env(), descriptions);
}

Napi::Value FlowObject::upload(const Napi::CallbackInfo& info) {
  return keep_rows(
      info, environment().rows_class(),
      [](Flow& flow, std::size_t count, const Input& rows) { return flow.upload(count, rows); });
}

Napi::Value FlowObject::upload_contexts(const Napi::CallbackInfo& info) {
  return keep_rows(info, environment().rows_class(),
                   [](Flow& flow, std::size_t count, const Input& contexts) {
                     return flow.upload_contexts(count, contexts);
                   });
}

// (count, levels, rule)
Napi::Value FlowObject::upload_images(const Napi::CallbackInfo& info) {
  const std::size_t count = whole_number(info[0], "count", 1, 0xFFFFFFFF);
  const VisitRule rule = visit_rule(Fields(info[2], "rule"));
  Flow& flow = idle_model();
  const std::span<const std::uint8_t> levels = borrowed_bytes(info[1], "levels");
  return handle_of(info.Env(), environment().rows_class(), flow.upload_images(count, levels, rule),
                   count, levels.size());
}

}  // namespace ffjord::binding
