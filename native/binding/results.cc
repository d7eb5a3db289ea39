#include "binding/results.h"

#include <string>

#include "binding/errors.h"

namespace ffjord::binding {
namespace {

const char* name_of(Role role) {
  switch (role) {
    case Role::Weight:
      return "weight";
    case Role::Bias:
      return "bias";
    case Role::Gate:
      return "gate";
    case Role::EndTime:
      return "end_time";
    case Role::Scale:
      return "scale";
    case Role::Beta:
      return "beta";
    case Role::Buffer:
      return "buffer";
  }
  return "weight";
}

void define_statistics(const Napi::Object& object, const SolveStatistics& statistics) {
  define(object, "evaluations", statistics.evaluations);
  define(object, "accepted", statistics.accepted);
  define(object, "rejected", statistics.rejected);
  define(object, "smallestStep", statistics.smallest_step);
  define(object, "largestStep", statistics.largest_step);
  define(object, "stiffness", statistics.stiffness());
}

}  // namespace

Napi::Object statistics_object(Napi::Env env, const SolveStatistics& statistics) {
  auto object = Napi::Object::New(env);
  define_statistics(object, statistics);
  return object;
}

Napi::Object solve_statistics_object(Napi::Env env, const SolveResult& result) {
  auto object = Napi::Object::New(env);
  define_statistics(object, result.statistics);
  define(object, "blockEvaluations", numbers(env, result.block_evaluations));
  define(object, "blockStiffness", numbers(env, result.block_stiffness));
  define(object, "smallestStepBlock", result.statistics.smallest_step_block);
  define(object, "smallestStepRow", static_cast<double>(result.statistics.smallest_step_row));
  define(object, "traces", strings(env, result.traces));
  return object;
}

Napi::Object by_name(Napi::Env env, const Regularisers& regularisers,
                     const std::vector<double>& values) {
  auto object = Napi::Object::New(env);
  std::size_t channel = 0;
  for (const Regulariser* one : regularisers)
    define(object, one->name.data(), channel < values.size() ? values[channel++] : 0.0);
  return object;
}

Napi::Array tensors(Napi::Env env, const std::vector<Parameter>& parameters) {
  return array_of(env, parameters, [&](const Parameter& parameter) {
    auto tensor = Napi::Object::New(env);
    define(tensor, "name", parameter.name);
    define(tensor, "shape", array_of(env, parameter.shape, [](int size) { return size; }));
    define(tensor, "offset", static_cast<double>(parameter.offset));
    define(tensor, "size", static_cast<double>(parameter.size));
    define(tensor, "role", name_of(parameter.role));
    define(tensor, "trainable", parameter.trainable);
    return tensor;
  });
}

}  // namespace ffjord::binding
