// Objects and arrays for JavaScript, made here alone. Their properties are defined and never
// assigned: an assignment runs the setters that a program may have put on Object.prototype or
// Array.prototype, and so would hand out a result's memory before it is written.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "binding/environment.h"
#include "core/arrays.h"
#include "core/memory.h"

namespace ffjord::binding {

/// Gives `object` a property of its own that is writable, enumerable and configurable.
void define_value(const Napi::Object& object, const char* name, const Napi::Value& value);

template <class Value>
void define(const Napi::Object& object, const char* name, const Value& value) {
  define_value(object, name, Napi::Value::From(object.Env(), value));
}

/// An array of `value_of(element)` of every element.
template <class Values, class ValueOf>
Napi::Array array_of(Napi::Env env, const Values& values, const ValueOf& value_of) {
  auto array = Napi::Array::New(env);
  std::size_t i = 0;
  for (const auto& value : values) {
    const Napi::HandleScope scope(env);
    define(array, std::to_string(i++).c_str(), value_of(value));
  }
  return array;
}

Napi::Array numbers(Napi::Env env, const std::vector<double>& values);
Napi::Array strings(Napi::Env env, const std::vector<std::string>& values);

/// A new Uint32Array, Float32Array or Float64Array of zeros. Throws Error(OutOfMemory) where so
/// many numbers have no room.
Napi::TypedArray new_typed_array(Napi::Env env, const Environment& environment,
                                 napi_typedarray_type type, std::size_t size);

/// A new Float32Array or Float64Array, and where to write its values.
struct NewArray {
  Napi::TypedArray value;
  Output output;
};
NewArray new_array(Napi::Env env, const Environment& environment, std::size_t size, bool float64);

/// The object that a call results in. Its arrays exist before the call is computed and are written
/// in place by whatever thread computes it; JavaScript gets to see them afterwards.
class Results {
 public:
  Results(Napi::Env env, const Environment& environment, bool float64)
      : environment_(environment),
        float64_(float64),
        object_(Napi::Persistent(Napi::Object::New(env))) {}

  Output array(const char* name, std::size_t size);
  Napi::Object object() const { return object_.Value(); }

 private:
  const Environment& environment_;
  const bool float64_;
  Napi::ObjectReference object_;
  std::unique_ptr<PromisedMemory> promise_ = std::make_unique<PromisedMemory>();
};

}  // namespace ffjord::binding
