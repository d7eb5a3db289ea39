// Checked reading of JavaScript values. Nothing a caller passes may crash the process, so every
// value is asked for its type, its range and its length before it is used.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "binding/errors.h"
#include "binding/napi_setup.h"
#include "core/arrays.h"

namespace ffjord::binding {

/// How a call holds an input array: asynchronous ones copy, synchronous ones borrow.
enum class ArrayUse { Copy, Borrow };

/// A Float32Array or Float64Array from JavaScript, copied or borrowed.
class HostArray {
 public:
  HostArray() = default;
  /// A borrowed array is valid until JavaScript runs again.
  HostArray(const Napi::Value& value, const std::string& name, ArrayUse use);
  HostArray(HostArray&&) = default;
  HostArray& operator=(HostArray&&) = default;

  const Input& view() const { return view_; }
  std::size_t size() const { return view_.size(); }

 private:
  std::variant<std::monostate, std::vector<float>, std::vector<double>> copy_;
  Input view_;  // of copy_'s elements, which stay in place when the vector moves
};

/// Names in JavaScript and their values here.
template <class Value, std::size_t count>
using Choices = std::array<std::pair<std::string_view, Value>, count>;

/// The fields of a JavaScript object; messages name the path to a field that is wrong.
class Fields {
 public:
  /// `name` must outlive this. Throws Error(InvalidArgument) if `value` is not an object.
  Fields(const Napi::Value& value, std::string_view name, const Fields* parent = nullptr);

  Napi::Env env() const { return object_.Env(); }
  Napi::Value operator[](const char* name) const { return object_.Get(name); }
  bool has(const char* name) const;  ///< present and not undefined
  std::string path(std::string_view name) const;

  double number(const char* name) const;  ///< finite
  std::uint64_t integer(const char* name, std::uint64_t least, std::uint64_t most) const;
  bool flag(const char* name) const;
  bool flag_or_false(const char* name) const;
  std::string text(const char* name) const;
  Fields object(const char* name) const { return {(*this)[name], name, this}; }

  std::vector<double> numbers(const char* name) const;  ///< of an array of finite numbers
  /// The same, with `open` for every null: an interval without an end.
  std::vector<double> numbers_or(const char* name, double open) const;
  std::vector<int> integers(const char* name, int least, int most) const;
  /// The elements of a JavaScript array, at most `most`.
  std::vector<Napi::Value> list(const char* name, std::size_t most) const;
  HostArray array(const char* name, ArrayUse use) const;
  HostArray array_or_empty(const char* name, ArrayUse use) const;
  std::vector<double> doubles(const char* name) const;         ///< of a Float64Array
  std::vector<std::uint32_t> indices(const char* name) const;  ///< of a Uint32Array

  template <class Value, std::size_t count>
  Value choice(const char* name, const Choices<Value, count>& choices) const {
    const std::string given = text(name);
    std::string known;
    for (const auto& [candidate, value] : choices) {
      if (candidate == given) return value;
      known += (known.empty() ? "" : ", ") + std::string(candidate);
    }
    refuse("unknown " + path(name) + " '" + given + "'; known: " + known);
  }

 private:
  Napi::Object object_;
  std::string_view name_;
  const Fields* parent_;
};

/// The elements of a Uint8Array or a Uint32Array, valid until JavaScript runs again.
std::span<const std::uint8_t> borrowed_bytes(const Napi::Value& value, const std::string& name);
std::span<const std::uint32_t> borrowed_words(const Napi::Value& value, const std::string& name);

double finite_number(const Napi::Value& value, const std::string& name);
std::uint64_t whole_number(const Napi::Value& value, const std::string& name, std::uint64_t least,
                           std::uint64_t most);
std::string short_text(const Napi::Value& value, const std::string& name);

/// Seeds and other whole numbers that a JavaScript number holds exactly.
inline constexpr std::uint64_t kLargestInteger = (std::uint64_t{1} << 53) - 1;

}  // namespace ffjord::binding
