#include "binding/results.h"

#include <string>

#include "binding/errors.h"

namespace ffjord::binding {
namespace {

template <class Real>
Output output_of(const Napi::Object& array) {
  auto typed = array.As<Napi::TypedArrayOf<Real>>();
  return std::span<Real>(typed.Data(), typed.ElementLength());
}

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

template <class Values>
Napi::Array array_of(Napi::Env env, const Values& values) {
  auto array = Napi::Array::New(env, values.size());
  for (std::uint32_t i = 0; i < values.size(); ++i) array.Set(i, static_cast<double>(values[i]));
  return array;
}

void set_statistics(Napi::Object& object, const SolveStatistics& statistics) {
  object.Set("evaluations", statistics.evaluations);
  object.Set("accepted", statistics.accepted);
  object.Set("rejected", statistics.rejected);
  object.Set("smallestStep", statistics.smallest_step);
  object.Set("largestStep", statistics.largest_step);
  object.Set("stiffness", statistics.stiffness());
}

}  // namespace

NewArray new_array(Napi::Env env, const Environment& environment, std::size_t size, bool float64) {
  // By JavaScript's constructor, which throws where memory is short; Node-API's ends the process.
  try {
    const Napi::Object array =
        environment.array_class(float64).New({Napi::Number::New(env, static_cast<double>(size))});
    return {array, float64 ? output_of<double>(array) : output_of<float>(array)};
  } catch (const Napi::Error&) {
    throw Error(ErrorCode::OutOfMemory, "no memory for an array of " + std::to_string(size) +
                                            " numbers; use a smaller batch, or fewer times");
  }
}

Output Results::array(const char* name, std::size_t size) {
  const NewArray array = new_array(object_.Env(), environment_, size, float64_);
  object_.Value().Set(name, array.value);
  return array.output;
}

Napi::Object statistics_object(Napi::Env env, const SolveStatistics& statistics) {
  auto object = Napi::Object::New(env);
  set_statistics(object, statistics);
  return object;
}

Napi::Object solve_statistics_object(Napi::Env env, const SolveResult& result) {
  auto object = Napi::Object::New(env);
  set_statistics(object, result.statistics);
  object.Set("blockEvaluations", numbers(env, result.block_evaluations));
  object.Set("blockStiffness", numbers(env, result.block_stiffness));
  object.Set("smallestStepBlock", result.statistics.smallest_step_block);
  object.Set("smallestStepRow", static_cast<double>(result.statistics.smallest_step_row));
  object.Set("traces", strings(env, result.traces));
  return object;
}

Napi::Object by_name(Napi::Env env, const Regularisers& regularisers,
                     const std::vector<double>& values) {
  auto object = Napi::Object::New(env);
  std::size_t channel = 0;
  for (const Regulariser* one : regularisers)
    object.Set(one->name.data(), channel < values.size() ? values[channel++] : 0.0);
  return object;
}

Napi::Array iterations(Napi::Env env, const Regularisers& regularisers,
                       const std::vector<IterationRecord>& records) {
  auto array = Napi::Array::New(env, records.size());
  for (std::uint32_t i = 0; i < records.size(); ++i) {
    const Napi::HandleScope scope(env);
    const IterationRecord& record = records[i];
    auto object = Napi::Object::New(env);
    object.Set("loss", record.loss);
    object.Set("negativeLogProb", record.negative_log_prob);
    object.Set("regularisers", by_name(env, regularisers, record.regularisers));
    object.Set("blockEvaluations", numbers(env, record.block_evaluations));
    object.Set("evaluations", record.evaluations);
    object.Set("backwardEvaluations", record.backward_evaluations);
    object.Set("accepted", record.accepted);
    object.Set("rejected", record.rejected);
    object.Set("gradientNorm", record.gradient_norm);
    object.Set("seconds", record.seconds);
    object.Set("skipped", record.skipped);
    array.Set(i, object);
  }
  return array;
}

Napi::Array numbers(Napi::Env env, const std::vector<double>& values) {
  return array_of(env, values);
}

Napi::Array strings(Napi::Env env, const std::vector<std::string>& values) {
  auto array = Napi::Array::New(env, values.size());
  for (std::uint32_t i = 0; i < values.size(); ++i) array.Set(i, values[i]);
  return array;
}

Napi::Array tensors(Napi::Env env, const std::vector<Parameter>& parameters) {
  auto array = Napi::Array::New(env, parameters.size());
  for (std::uint32_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    auto tensor = Napi::Object::New(env);
    tensor.Set("name", parameter.name);
    tensor.Set("shape", array_of(env, parameter.shape));
    tensor.Set("offset", static_cast<double>(parameter.offset));
    tensor.Set("size", static_cast<double>(parameter.size));
    tensor.Set("role", name_of(parameter.role));
    tensor.Set("trainable", parameter.trainable);
    array.Set(i, tensor);
  }
  return array;
}

}  // namespace ffjord::binding
