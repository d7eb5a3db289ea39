// Arrays at the border of an engine: the caller's memory in the caller's precision.
// An engine converts once, while it copies rows into its own layout.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <variant>
#include <vector>

namespace ffjord {

/// A borrowed, row-major array of float32 or float64 values.
class Input {
 public:
  Input() : values_(std::span<const float>()) {}
  Input(std::span<const float> values) : values_(values) {}
  Input(std::span<const double> values) : values_(values) {}
  Input(const std::vector<float>& values) : values_(std::span<const float>(values)) {}
  Input(const std::vector<double>& values) : values_(std::span<const double>(values)) {}

  std::size_t size() const {
    return std::visit([](auto values) { return values.size(); }, values_);
  }
  bool empty() const { return size() == 0; }
  bool is_float64() const { return std::holds_alternative<std::span<const double>>(values_); }

  Input subspan(std::size_t offset, std::size_t count) const {
    return std::visit([=](auto values) { return Input(values.subspan(offset, count)); }, values_);
  }

  /// Copies into `target`, which must have this array's size.
  template <class Real>
  void copy_to(std::span<Real> target) const {
    std::visit(
        [&](auto values) {
          std::transform(values.begin(), values.end(), target.begin(),
                         [](auto value) { return static_cast<Real>(value); });
        },
        values_);
  }

  template <class Real>
  std::vector<Real> as() const {
    std::vector<Real> copy(size());
    copy_to(std::span<Real>(copy));
    return copy;
  }

 private:
  std::variant<std::span<const float>, std::span<const double>> values_;
};

/// A borrowed array that an engine writes; empty where the caller does not want the values.
class Output {
 public:
  Output() : values_(std::span<float>()) {}
  Output(std::span<float> values) : values_(values) {}
  Output(std::span<double> values) : values_(values) {}
  Output(std::vector<float>& values) : values_(std::span<float>(values)) {}
  Output(std::vector<double>& values) : values_(std::span<double>(values)) {}

  std::size_t size() const {
    return std::visit([](auto values) { return values.size(); }, values_);
  }
  bool empty() const { return size() == 0; }
  bool is_float64() const { return std::holds_alternative<std::span<double>>(values_); }

  Output subspan(std::size_t offset, std::size_t count) const {
    return std::visit([=](auto values) { return Output(values.subspan(offset, count)); }, values_);
  }

  /// Takes the values of `source`, which must have this array's size; an empty output takes none.
  template <class Real>
  void assign(std::span<const Real> source) const {
    if (empty()) return;
    std::visit(
        [&](auto values) {
          using Value = typename decltype(values)::value_type;
          std::transform(source.begin(), source.end(), values.begin(),
                         [](Real value) { return static_cast<Value>(value); });
        },
        values_);
  }

 private:
  std::variant<std::span<float>, std::span<double>> values_;
};

}  // namespace ffjord
