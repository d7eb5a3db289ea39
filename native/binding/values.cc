#include "binding/values.h"

#include "binding/errors.h"

namespace ffjord::binding {
namespace {

template <class Real>
Output output_of(const Napi::TypedArray& array) {
  auto typed = array.As<Napi::TypedArrayOf<Real>>();
  return std::span<Real>(typed.Data(), typed.ElementLength());
}

napi_typedarray_type type_of(bool float64) {
  return float64 ? napi_float64_array : napi_float32_array;
}

std::size_t bytes_of(napi_typedarray_type type) { return type == napi_float64_array ? 8 : 4; }

}  // namespace

void define_value(const Napi::Object& object, const char* name, const Napi::Value& value) {
  napi_property_descriptor property{};
  property.utf8name = name;
  property.value = value;
  property.attributes = napi_default_jsproperty;
  const napi_env env = object.Env();
  if (napi_define_properties(env, object, 1, &property) != napi_ok) throw Napi::Error::New(env);
}

Napi::Array numbers(Napi::Env env, const std::vector<double>& values) {
  return array_of(env, values, [](double value) { return value; });
}

Napi::Array strings(Napi::Env env, const std::vector<std::string>& values) {
  return array_of(env, values, [](const std::string& value) { return value; });
}

Napi::TypedArray new_typed_array(Napi::Env env, const Environment& environment,
                                 napi_typedarray_type type, std::size_t size) {
  count_allocation(product_of_sizes({size, bytes_of(type)}));
  // By JavaScript's constructor, which throws where memory is short; Node-API's ends the process.
  try {
    return environment.array_class(type)
        .New({Napi::Number::New(env, static_cast<double>(size))})
        .As<Napi::TypedArray>();
  } catch (const Napi::Error&) {
    throw Error(ErrorCode::OutOfMemory, "JavaScript has no room for an array of " +
                                            std::to_string(size) +
                                            " numbers; use a smaller batch, or fewer times");
  }
}

NewArray new_array(Napi::Env env, const Environment& environment, std::size_t size, bool float64) {
  const Napi::TypedArray array = new_typed_array(env, environment, type_of(float64), size);
  return {array, float64 ? output_of<double>(array) : output_of<float>(array)};
}

Output Results::array(const char* name, std::size_t size) {
  promise_->add(product_of_sizes({size, bytes_of(type_of(float64_))}));
  const NewArray array = new_array(object_.Env(), environment_, size, float64_);
  define(object_.Value(), name, array.value);
  return array.output;
}

}  // namespace ffjord::binding
