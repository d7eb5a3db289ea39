// The host as the device of a flow: nothing is copied.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>

#include "core/flow_device.h"

namespace ffjord {

template <class Real>
using MakeBlock = std::function<std::unique_ptr<ContinuousBlock<Real>>(const BlockContext<Real>&)>;

template <class Real>
void gather_rows(std::span<const Real> rows, std::span<const std::uint32_t> indices,
                 std::size_t columns, std::span<Real> target) {
  for (std::size_t i = 0; i < indices.size(); ++i)
    std::copy_n(rows.begin() + indices[i] * columns, columns, target.begin() + i * columns);
}

template <class Real>
class HostBuffer : public FlatBuffer<Real> {
 public:
  explicit HostBuffer(std::size_t count) : values_(count, Real(0)) {}

  std::span<Real> values() override { return values_; }
  std::span<const Real> on_host() const override { return values_; }
  std::vector<Real> at(std::span<const std::size_t> places) const override {
    std::vector<Real> found;
    for (std::size_t place : places) found.push_back(values_[place]);
    return found;
  }
  void put(std::size_t first, std::span<const Real> values) override {
    std::copy(values.begin(), values.end(), values_.begin() + first);
  }
  void fill_zero() override { std::fill(values_.begin(), values_.end(), Real(0)); }
  void add(std::size_t first, std::span<const Real> values) override {
    for (std::size_t i = 0; i < values.size(); ++i) values_[first + i] += values[i];
  }

 private:
  std::vector<Real> values_;
};

template <class Real>
class HostDevice : public FlowDevice<Real> {
 public:
  explicit HostDevice(MakeBlock<Real> make_block) : make_block_(std::move(make_block)) {}

  bool is_host() const override { return true; }
  bool has_room(std::size_t) const override { return true; }
  std::unique_ptr<ContinuousBlock<Real>> make_block(const BlockContext<Real>& context) override {
    return make_block_(context);
  }
  std::unique_ptr<FlatBuffer<Real>> make_buffer(std::size_t count) override {
    return std::make_unique<HostBuffer<Real>>(count);
  }
  double step(const OptimizerOptions& options, const ParameterLayout& layout,
              const OptimizerArrays<Real>& arrays) override {
    return optimizer_step(options, layout, arrays);
  }
  void gather(std::span<const std::uint32_t> indices,
              std::span<const RowGather<Real>> gathers) override {
    for (const auto& [rows, columns, target] : gathers) gather_rows(rows, indices, columns, target);
  }
  PendingMeans likelihood(const BaseRows<const Real>& rows) override {
    return {true, [means = likelihood_means(rows)] { return means; }};
  }
  void seed_likelihood(const LikelihoodBar& bar, std::span<const Real> z,
                       const BaseRows<Real>& bars) override {
    ffjord::seed_likelihood(bar, z, bars);
  }

 private:
  const MakeBlock<Real> make_block_;
};

}  // namespace ffjord
