// What the core found → JavaScript objects. The field names are those of lib/native/interface.ts.
#pragma once

#include <string>
#include <vector>

#include "binding/values.h"
#include "core/engine.h"

namespace ffjord::binding {

Napi::Object statistics_object(Napi::Env env, const SolveStatistics& statistics);
Napi::Object solve_statistics_object(Napi::Env env, const SolveResult& result);
/// Name → value of the chosen regularisers; zeros where there are no values.
Napi::Object by_name(Napi::Env env, const Regularisers& regularisers,
                     const std::vector<double>& values);
Napi::Array tensors(Napi::Env env, const std::vector<Parameter>& parameters);

}  // namespace ffjord::binding
