#include "binding/environment.h"

#include "binding/handles.h"

namespace ffjord::binding {
namespace {

Napi::FunctionReference global_class(Napi::Env env, const char* name) {
  return Napi::Persistent(env.Global().Get(name).As<Napi::Function>());
}

}  // namespace

std::shared_ptr<Environment> Environment::open(Napi::Env env) {
  return std::shared_ptr<Environment>(new Environment(env));
}

Environment::Environment(Napi::Env env)
    : mailbox_(std::make_shared<Mailbox>(env)),
      tape_class_(Napi::Persistent(TapeHandle::define(env))),
      rows_class_(Napi::Persistent(RowsHandle::define(env))),
      images_class_(Napi::Persistent(ImagesHandle::define(env))),
      uint32_array_(global_class(env, "Uint32Array")),
      float32_array_(global_class(env, "Float32Array")),
      float64_array_(global_class(env, "Float64Array")) {
  // Runs before the mailbox's own hook, as hooks run last in, first out.
  env.AddCleanupHook([](Environment* environment) { environment->close(); }, this);
}

void Environment::close() {
  for (Worker* worker : workers_) worker->abandon();
  for (Worker* worker : workers_) worker->join();
  mailbox_->close();
  for (auto* reference : {&tape_class_, &rows_class_, &images_class_, &uint32_array_,
                          &float32_array_, &float64_array_})
    reference->Reset();
}

}  // namespace ffjord::binding
