// The addon's exports, as lib/native.ts describes them.
#include <algorithm>

#include "binding/arguments.h"
#include "binding/engines.h"
#include "binding/environment.h"
#include "binding/flow_object.h"
#include "binding/handles.h"
#include "binding/measure.h"
#include "binding/odeint.h"
#include "binding/requests.h"
#include "binding/results.h"
#include "core/philox.h"
#include "core/tableau.h"

namespace ffjord::binding {
namespace {

Napi::Value engine_list(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto array = Napi::Array::New(env);
  for (const Engine& engine : engines()) {
    auto object = Napi::Object::New(env);
    object.Set("name", engine.name);
    object.Set("description", engine.description);
    object.Set("unusable", engine.unusable);
    object.Set("convolutions", engine.supports_convolutions);
    object.Set("float64", engine.float64);
    array.Set(array.Length(), object);
  }
  return array;
}

Napi::Value method_list(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto array = Napi::Array::New(env);
  for (const Tableau& method : tableaus()) {
    auto object = Napi::Object::New(env);
    object.Set("name", std::string(method.name));
    object.Set("order", method.order);
    object.Set("stages", method.stages);
    object.Set("adaptive", method.adaptive);
    array.Set(array.Length(), object);
  }
  return array;
}

Napi::Value regulariser_list(const Napi::CallbackInfo& info) {
  std::vector<std::string> names;
  for (const Regulariser& one : regulariser_table()) names.emplace_back(one.name);
  return strings(info.Env(), names);
}

Napi::Value error_code_list(const Napi::CallbackInfo& info) {
  return strings(info.Env(), error_codes());
}

// (law, key, rowOffset, rows, columns) → Float32Array (rows, columns)
Napi::Value noise(const Napi::CallbackInfo& info) {
  const NoiseLaw law = noise_law(info[0]);
  const NoiseKey key = noise_key(Fields(info[1], "key"));
  const auto row_offset =
      static_cast<std::uint32_t>(whole_number(info[2], "rowOffset", 0, 0xFFFFFFFF));
  const std::size_t rows = whole_number(info[3], "rows", 0, 0xFFFFFFFF);
  const std::size_t columns = whole_number(info[4], "columns", 0, 0x7FFFFFFF);
  const auto& environment = *static_cast<Environment*>(info.Data());
  const NewArray array = new_array(info.Env(), environment, rows * columns, false);
  std::vector<float> values(rows * columns);
  fill_noise<float>(law, key, row_offset, columns, values);
  array.output.assign(std::span<const float>(values));
  return array.value;
}

// (values, rows) → Uint32Array (rows, 2)
Napi::Value row_keys(const Napi::CallbackInfo& info) {
  const HostArray values(info[0], "values", ArrayUse::Borrow);
  const std::size_t rows = whole_number(info[1], "rows", 1, 0xFFFFFFFF);
  if (values.size() % rows != 0) refuse("values must hold as many numbers for each row");
  const std::vector<RowKey> keys = ffjord::row_keys(values.view(), rows);
  auto words = Napi::Uint32Array::New(info.Env(), 2 * rows);
  for (std::size_t row = 0; row < rows; ++row) {
    words[2 * row] = keys[row].row;
    words[2 * row + 1] = keys[row].call;
  }
  return words;
}

Napi::Value cpu(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const CpuReport report = cpu_report();
  auto object = Napi::Object::New(env);
  object.Set("instructionSet", std::string(report.instruction_set));
  object.Set("instructionSets",
             strings(env, {report.instruction_sets.begin(), report.instruction_sets.end()}));
  object.Set("threads", report.threads);
  return object;
}

Napi::Value fma_peak_rate(const Napi::CallbackInfo& info) {
  const double seconds = std::clamp(finite_number(info[0], "seconds"), 0.0, 60.0);
  return Napi::Number::New(info.Env(), fma_peak(seconds));
}

template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value entry(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return function(info); });
}

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) : environment_(Environment::open(env)) {
    const auto add = [&]<Napi::Value (*function)(const Napi::CallbackInfo&)>(const char* name) {
      exports.Set(name, Napi::Function::New<entry<function>>(env, name, environment_.get()));
    };
    add.operator()<engine_list>("engines");
    add.operator()<method_list>("methods");
    add.operator()<regulariser_list>("regularisers");
    add.operator()<error_code_list>("errorCodes");
    add.operator()<cpu>("cpu");
    add.operator()<noise>("noise");
    add.operator()<row_keys>("rowKeys");
    add.operator()<fma_peak_rate>("fmaPeak");
    add.operator()<odeint>("odeint");
    exports.Set("Flow", FlowObject::define(env, *environment_));
    exports.Set("Stop", StopHandle::define(env));
  }

 private:
  const std::shared_ptr<Environment> environment_;
};

}  // namespace

NODE_API_NAMED_ADDON(ffjord, Addon)

}  // namespace ffjord::binding
