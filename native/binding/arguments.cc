#include "binding/arguments.h"

#include <cmath>
#include <limits>

namespace ffjord::binding {
namespace {

constexpr std::size_t kLongestText = 255;

template <class Real>
std::span<const Real> elements(const Napi::Value& value) {
  const auto array = value.As<Napi::TypedArrayOf<Real>>();
  return {array.Data(), array.ElementLength()};
}

bool is_typed(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

// Not a const std::string& in the callers below, so that no path is built for values that are
// right.
template <class Name>
double checked_number(const Napi::Value& value, const Name& name) {
  double number = 0;
  if (napi_get_value_double(value.Env(), value, &number) != napi_ok || !std::isfinite(number))
    refuse(name() + " must be a finite number");
  return number;
}

template <class Name>
std::uint64_t checked_integer(const Napi::Value& value, const Name& name, std::uint64_t least,
                              std::uint64_t most) {
  double number = 0;
  if (napi_get_value_double(value.Env(), value, &number) != napi_ok ||
      !(number >= static_cast<double>(least) && number <= static_cast<double>(most)) ||
      number != std::floor(number))
    refuse(name() + " must be a whole number from " + std::to_string(least) + " to " +
           std::to_string(most));
  return static_cast<std::uint64_t>(number);
}

template <class Name>
std::string checked_text(const Napi::Value& value, const Name& name) {
  char text[kLongestText + 1];
  std::size_t length = 0;
  if (napi_get_value_string_utf8(value.Env(), value, text, sizeof text, &length) != napi_ok)
    refuse(name() + " must be a string");
  return {text, length};
}

}  // namespace

HostArray::HostArray(const Napi::Value& value, const std::string& name, ArrayUse use) {
  const auto hold = [&]<class Real>(std::span<const Real> values) {
    if (use == ArrayUse::Copy)
      view_ = copy_.emplace<std::vector<Real>>(values.begin(), values.end());
    else
      view_ = values;
  };
  if (is_typed(value, napi_float32_array))
    hold(elements<float>(value));
  else if (is_typed(value, napi_float64_array))
    hold(elements<double>(value));
  else
    refuse(name + " must be a Float32Array or a Float64Array");
}

std::span<const std::uint8_t> borrowed_bytes(const Napi::Value& value, const std::string& name) {
  if (!is_typed(value, napi_uint8_array)) refuse(name + " must be a Uint8Array");
  return elements<std::uint8_t>(value);
}

std::span<const std::uint32_t> borrowed_words(const Napi::Value& value, const std::string& name) {
  if (!is_typed(value, napi_uint32_array)) refuse(name + " must be a Uint32Array");
  return elements<std::uint32_t>(value);
}

double finite_number(const Napi::Value& value, const std::string& name) {
  return checked_number(value, [&] { return name; });
}

std::uint64_t whole_number(const Napi::Value& value, const std::string& name, std::uint64_t least,
                           std::uint64_t most) {
  return checked_integer(
      value, [&] { return name; }, least, most);
}

std::string short_text(const Napi::Value& value, const std::string& name) {
  return checked_text(value, [&] { return name; });
}

Fields::Fields(const Napi::Value& value, std::string_view name, const Fields* parent)
    : name_(name), parent_(parent) {
  if (!value.IsObject())
    refuse((parent ? parent->path(name) : std::string(name)) + " must be an object");
  object_ = value.As<Napi::Object>();
}

std::string Fields::path(std::string_view name) const {
  const std::string own = parent_ ? parent_->path(name_) : std::string(name_);
  return own + "." + std::string(name);
}

bool Fields::has(const char* name) const { return !(*this)[name].IsUndefined(); }

double Fields::number(const char* name) const {
  return checked_number((*this)[name], [&] { return path(name); });
}

std::uint64_t Fields::integer(const char* name, std::uint64_t least, std::uint64_t most) const {
  return checked_integer((*this)[name], [&] { return path(name); }, least, most);
}

bool Fields::flag(const char* name) const {
  bool flag = false;
  if (napi_get_value_bool(env(), (*this)[name], &flag) != napi_ok)
    refuse(path(name) + " must be true or false");
  return flag;
}

bool Fields::flag_or_false(const char* name) const {
  const Napi::Value value = (*this)[name];
  bool flag = false;
  if (!value.IsUndefined() && napi_get_value_bool(env(), value, &flag) != napi_ok)
    refuse(path(name) + " must be true or false");
  return flag;
}

std::string Fields::text(const char* name) const {
  return checked_text((*this)[name], [&] { return path(name); });
}

std::vector<Napi::Value> Fields::list(const char* name, std::size_t most) const {
  const Napi::Value value = (*this)[name];
  if (!value.IsArray()) refuse(path(name) + " must be an array");
  const auto array = value.As<Napi::Array>();
  const std::uint32_t length = array.Length();
  if (length > most) refuse(path(name) + " holds more than " + std::to_string(most) + " entries");
  std::vector<Napi::Value> values(length);
  for (std::uint32_t i = 0; i < length; ++i) values[i] = array.Get(i);
  return values;
}

std::vector<double> Fields::numbers(const char* name) const {
  std::vector<double> numbers;
  for (const Napi::Value& value : list(name, std::size_t{1} << 20))
    numbers.push_back(checked_number(value, [&] { return "every entry of " + path(name); }));
  return numbers;
}

std::vector<double> Fields::numbers_or(const char* name, double open) const {
  std::vector<double> numbers;
  for (const Napi::Value& value : list(name, std::size_t{1} << 20))
    numbers.push_back(value.IsNull() ? open : checked_number(value, [&] {
      return "every entry of " + path(name);
    }));
  return numbers;
}

std::vector<int> Fields::integers(const char* name, int least, int most) const {
  std::vector<int> integers;
  for (const Napi::Value& value : list(name, 4096)) {
    const double number = checked_number(value, [&] { return "every entry of " + path(name); });
    if (!(number >= least && number <= most) || number != std::floor(number))
      refuse("every entry of " + path(name) + " must be a whole number from " +
             std::to_string(least) + " to " + std::to_string(most));
    integers.push_back(static_cast<int>(number));
  }
  return integers;
}

HostArray Fields::array(const char* name, ArrayUse use) const {
  return HostArray((*this)[name], path(name), use);
}

HostArray Fields::array_or_empty(const char* name, ArrayUse use) const {
  const Napi::Value value = (*this)[name];
  return value.IsUndefined() ? HostArray() : HostArray(value, path(name), use);
}

std::vector<double> Fields::doubles(const char* name) const {
  const Napi::Value value = (*this)[name];
  if (!is_typed(value, napi_float64_array)) refuse(path(name) + " must be a Float64Array");
  const auto values = elements<double>(value);
  for (double number : values)
    if (!std::isfinite(number)) refuse(path(name) + " must hold finite numbers");
  return {values.begin(), values.end()};
}

std::vector<std::uint32_t> Fields::indices(const char* name) const {
  const Napi::Value value = (*this)[name];
  if (!is_typed(value, napi_uint32_array)) refuse(path(name) + " must be a Uint32Array");
  const auto values = elements<std::uint32_t>(value);
  return {values.begin(), values.end()};
}

}  // namespace ffjord::binding
