// What the core found → JavaScript objects. The field names are those of lib/native.ts.
#pragma once

#include <string>
#include <vector>

#include "binding/environment.h"
#include "core/engine.h"
#include "core/training.h"

namespace ffjord::binding {

/// A new Float32Array or Float64Array, and where to write its values.
struct NewArray {
  Napi::Value value;
  Output output;
};
/// Throws Error(OutOfMemory) where JavaScript cannot hold so many numbers.
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
};

Napi::Object statistics_object(Napi::Env env, const SolveStatistics& statistics);
Napi::Object solve_statistics_object(Napi::Env env, const SolveResult& result);
/// Name → value of the chosen regularisers; zeros where there are no values.
Napi::Object by_name(Napi::Env env, const Regularisers& regularisers,
                     const std::vector<double>& values);
Napi::Array iterations(Napi::Env env, const Regularisers& regularisers,
                       const std::vector<IterationRecord>& records);
Napi::Array numbers(Napi::Env env, const std::vector<double>& values);
Napi::Array strings(Napi::Env env, const std::vector<std::string>& values);
Napi::Array tensors(Napi::Env env, const std::vector<Parameter>& parameters);

}  // namespace ffjord::binding
