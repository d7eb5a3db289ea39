// The addon's exports, as lib/native/interface.ts describes them.
#include <algorithm>

#include "binding/arguments.h"
#include "binding/engines.h"
#include "binding/environment.h"
#include "binding/flow_object.h"
#include "binding/group_object.h"
#include "binding/handles.h"
#include "binding/measure.h"
#include "binding/odeint.h"
#include "binding/requests.h"
#include "binding/results.h"
#include "binding/vae_object.h"
#include "core/fingerprint.h"
#include "core/image_visit.h"
#include "core/memory.h"
#include "core/philox.h"
#include "core/tableau.h"

namespace ffjord::binding {
namespace {

Napi::Value engine_list(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return array_of(env, engines(), [&](const Engine& engine) {
    auto object = Napi::Object::New(env);
    define(object, "name", engine.name);
    define(object, "description", engine.description);
    define(object, "unusable", engine.unusable);
    define(object, "convolutions", engine.supports_convolutions);
    define(object, "autoencoders", bool(engine.create_vae));
    define(object, "float64", engine.float64);
    return object;
  });
}

Napi::Value method_list(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return array_of(env, tableaus(), [&](const Tableau& method) {
    auto object = Napi::Object::New(env);
    define(object, "name", std::string(method.name));
    define(object, "order", method.order);
    define(object, "stages", method.stages);
    define(object, "adaptive", method.adaptive);
    return object;
  });
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
  const NewArray array =
      new_array(info.Env(), environment, product_of_sizes({rows, columns}), false);
  auto values = array.value.As<Napi::Float32Array>();
  fill_noise<float>(law, key, row_offset, columns, {values.Data(), values.ElementLength()});
  return array.value;
}

// (values, rows) → Uint32Array (rows, 2)
Napi::Value row_keys(const Napi::CallbackInfo& info) {
  const HostArray values(info[0], "values", ArrayUse::Borrow);
  const std::size_t rows = whole_number(info[1], "rows", 1, 0xFFFFFFFF);
  if (values.size() % rows != 0) refuse("values must hold as many numbers for each row");
  const std::vector<RowKey> keys = ffjord::row_keys(values.view(), rows);
  const auto& environment = *static_cast<Environment*>(info.Data());
  auto words =
      new_typed_array(info.Env(), environment, napi_uint32_array, 2 * rows).As<Napi::Uint32Array>();
  for (std::size_t row = 0; row < rows; ++row) {
    words[2 * row] = keys[row].row;
    words[2 * row + 1] = keys[row].call;
  }
  return words;
}

// (bytes): a whole number below 2^53 that follows from them
Napi::Value fingerprint_of(const Napi::CallbackInfo& info) {
  const auto bytes = std::as_bytes(borrowed_bytes(info[0], "bytes"));
  return Napi::Number::New(info.Env(), double(fingerprint(bytes) >> 11));
}

// (levels, size, indices, visit, rule) → Float64Array (indices, size)
Napi::Value visit(const Napi::CallbackInfo& info) {
  const std::size_t size = whole_number(info[1], "size", 1, 0x7FFFFFFF);
  const auto number = static_cast<std::uint32_t>(whole_number(info[3], "visit", 0, 0xFFFFFFFF));
  const VisitRule rule = visit_rule(Fields(info[4], "rule"));
  const auto indices = borrowed_words(info[2], "indices");
  const std::size_t rows = indices.size();
  const auto& environment = *static_cast<Environment*>(info.Data());
  const NewArray array = new_array(info.Env(), environment, product_of_sizes({rows, size}), true);
  const auto levels = borrowed_bytes(info[0], "levels");
  if (size % rule.width != 0) refuse("a row of pixels must divide an image");
  const std::size_t count = levels.size() / size;
  for (std::uint32_t index : indices)
    if (index >= count) refuse("indices names a row beyond the last");
  auto values = array.value.As<Napi::Float64Array>();
  visit_rows<double>({levels, size, rule}, indices, number,
                     {values.Data(), values.ElementLength()});
  return array.value;
}

// (bytes): throws OUT_OF_MEMORY where they do not exist
Napi::Value require_memory_of(const Napi::CallbackInfo& info) {
  const double bytes = std::max(0.0, finite_number(info[0], "bytes"));
  require_memory(bytes < 0x1p63 ? static_cast<std::uint64_t>(bytes) : std::uint64_t{1} << 63);
  return info.Env().Undefined();
}

Napi::Value cpu(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const CpuReport report = cpu_report();
  auto object = Napi::Object::New(env);
  define(object, "instructionSet", std::string(report.instruction_set));
  define(object, "instructionSets",
         strings(env, {report.instruction_sets.begin(), report.instruction_sets.end()}));
  define(object, "threads", report.threads);
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
      define(exports, name, Napi::Function::New<entry<function>>(env, name, environment_.get()));
    };
    add.operator()<engine_list>("engines");
    add.operator()<method_list>("methods");
    add.operator()<regulariser_list>("regularisers");
    add.operator()<library_list>("libraries");
    add.operator()<fingerprint_of>("fingerprint");
    add.operator()<error_code_list>("errorCodes");
    add.operator()<cpu>("cpu");
    add.operator()<require_memory_of>("requireMemory");
    add.operator()<noise>("noise");
    add.operator()<row_keys>("rowKeys");
    add.operator()<visit>("visit");
    add.operator()<fma_peak_rate>("fmaPeak");
    add.operator()<odeint>("odeint");
    define(exports, "Flow", FlowObject::define(env, *environment_));
    define(exports, "Vae", VaeObject::define(env, *environment_));
    define(exports, "Group", GroupObject::define(env, *environment_));
    define(exports, "Stop", StopHandle::define(env));
  }

 private:
  const std::shared_ptr<Environment> environment_;
};

}  // namespace

NODE_API_NAMED_ADDON(ffjord, Addon)

}  // namespace ffjord::binding
