#include "binding/group_object.h"

#include <functional>
#include <utility>

#include "binding/job.h"
#include "binding/values.h"
#include "distributed/join.h"
#include "distributed/mpi_library.h"
#include "distributed/nccl_library.h"

namespace ffjord::binding {
namespace {

constexpr napi_type_tag kGroupTag{0x39a4d7e1c05b4f82, 0xb86f2ac47d1e9350};

Napi::PropertyDescriptor constant(const char* name, const Napi::Value& value) {
  return Napi::PropertyDescriptor::Value(name, value, napi_enumerable);
}

}  // namespace

// Numbers of this rank that become those of all.
class GroupObject::Call : public Job {
 public:
  using Body = std::function<void(Group&, std::vector<double>&)>;
  Call(const Environment& environment, std::shared_ptr<Group> group, std::vector<double> values,
       Body body)
      : environment_(environment),
        group_(std::move(group)),
        values_(std::move(values)),
        body_(std::move(body)) {}

 private:
  void work(const std::stop_token&) override {
    group_->together([&] { body_(*group_, values_); });
  }
  Napi::Value result(Napi::Env env) override {
    const NewArray array = new_array(env, environment_, values_.size(), true);
    array.output.assign(std::span<const double>(values_));
    return array.value;
  }

  const Environment& environment_;
  const std::shared_ptr<Group> group_;
  std::vector<double> values_;
  const Body body_;
};

Napi::Function GroupObject::define(Napi::Env env, Environment& environment) {
  return DefineClass(env, "Group",
                     {InstanceAccessor<&GroupObject::method<&GroupObject::transport>>("transport"),
                      InstanceAccessor<&GroupObject::method<&GroupObject::library>>("library"),
                      InstanceMethod<&GroupObject::method<&GroupObject::sum>>("sum"),
                      InstanceMethod<&GroupObject::method<&GroupObject::broadcast>>("broadcast"),
                      InstanceMethod<&GroupObject::method<&GroupObject::fail>>("fail"),
                      InstanceMethod<&GroupObject::method<&GroupObject::finish>>("finish"),
                      InstanceMethod<&GroupObject::method<&GroupObject::leave>>("leave"),
                      InstanceMethod<&GroupObject::method<&GroupObject::abort>>("abort"),
                      InstanceMethod<&GroupObject::method<&GroupObject::ended>>("ended")},
                     &environment);
}

GroupObject::GroupObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<GroupObject>(info),
      environment_(static_cast<Environment*>(info.Data())->shared_from_this()),
      worker_(environment_->mailbox()) {
  const Napi::Env env = info.Env();
  guarded(env, [&] {
    const double deadline = finite_number(info[0], "deadline");
    if (!(deadline > 0)) refuse("deadline must be a number of seconds above 0");
    group_ = std::make_shared<Group>(distributed::join(deadline));
    const Communicator& communicator = group_->communicator();
    auto object = info.This().As<Napi::Object>();
    object.TypeTag(&kGroupTag);
    object.DefineProperties(
        {constant("rank", Napi::Number::New(env, group_->rank())),
         constant("size", Napi::Number::New(env, group_->size())),
         constant("localRank", Napi::Number::New(env, communicator.local_rank())),
         constant("localSize", Napi::Number::New(env, communicator.local_size()))});
    environment_->add(worker_);
  });
}

std::shared_ptr<Group> GroupObject::of(const Fields& call) {
  const Napi::Value value = call["group"];
  if (value.IsUndefined()) return nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kGroupTag))
    refuse(call.path("group") + " must be a Group");
  return Unwrap(value.As<Napi::Object>())->group_;
}

template <class Body>
Napi::Value GroupObject::run(const Napi::CallbackInfo& info, std::vector<double> values,
                             const Body& body) {
  const Napi::Env env = info.Env();
  const Napi::Promise::Deferred deferred(env);
  worker_.push({std::make_unique<Call>(*environment_, group_, std::move(values), body), deferred,
                Napi::Persistent(info.This().As<Napi::Object>())});
  environment_->mailbox()->expect(env);
  return deferred.Promise();
}

Napi::Value GroupObject::transport(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), group_->communicator().transport());
}

Napi::Value GroupObject::library(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), group_->communicator().library());
}

// (values): Float64Array → the sum over ranks
Napi::Value GroupObject::sum(const Napi::CallbackInfo& info) {
  return run(info, HostArray(info[0], "values", ArrayUse::Copy).view().as<double>(),
             [](Group& group, std::vector<double>& values) { group.sum(std::span(values)); });
}

// (values): Float64Array → those of rank 0, of which every rank gives as many
Napi::Value GroupObject::broadcast(const Napi::CallbackInfo& info) {
  return run(info, HostArray(info[0], "values", ArrayUse::Copy).view().as<double>(),
             [](Group& group, std::vector<double>& values) {
               group.broadcast(std::as_writable_bytes(std::span(values)));
             });
}

// (code, message as bytes): what all ranks reject with
Napi::Value GroupObject::fail(const Napi::CallbackInfo& info) {
  const ErrorCode code = error_code(short_text(info[0], "code"));
  const auto bytes = borrowed_bytes(info[1], "message");
  return run(info, {}, [code, message = std::string(bytes.begin(), bytes.end())](Group&, auto&) {
    throw Error(code, message);
  });
}

Napi::Value GroupObject::finish(const Napi::CallbackInfo& info) {
  return run(info, {}, [](Group& group, auto&) { group.finish(); });
}

// On JavaScript's thread, which has initialised the library.
Napi::Value GroupObject::leave(const Napi::CallbackInfo& info) {
  worker_.wait_until_idle();
  group_->leave();
  return info.Env().Undefined();
}

Napi::Value GroupObject::abort(const Napi::CallbackInfo& info) {
  group_->abort(static_cast<int>(whole_number(info[0], "code", 0, 255)));
  return info.Env().Undefined();
}

Napi::Value GroupObject::ended(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), group_->ended());
}

Napi::Value library_list(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto reports = distributed::mpi_libraries();
  reports.push_back(distributed::nccl_report());
  return array_of(env, reports, [&](const distributed::LibraryReport& one) {
    auto object = Napi::Object::New(env);
    define(object, "name", one.name);
    define(object, "version", one.version);
    define(object, "path", one.path);
    define(object, "unusable", one.unusable);
    return object;
  });
}

}  // namespace ffjord::binding
