// The host as the device of a flow: nothing is copied.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "core/batch_norm_block.h"
#include "core/fixed_block.h"
#include "core/flow_device.h"
#include "core/host_posterior.h"
#include "core/host_vae_terms.h"
#include "core/split_block.h"

namespace ffjord {

/// How an engine makes its blocks with dynamics.
template <class Real>
using MakeContinuous = std::function<std::unique_ptr<FlowBlock<Real>>(const BlockPlace<Real>&)>;
/// The same of feed-forward nets.
template <class Real>
using MakeFeedForward =
    std::function<std::unique_ptr<FeedForward<Real>>(const FeedForwardPlace<Real>&)>;

/// What an engine of the host makes by itself.
template <class Real>
struct HostMakers {
  MakeContinuous<Real> continuous;
  MakeFeedForward<Real> feed_forward;
};

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
  void assign(std::span<const Real> values) override {
    std::copy(values.begin(), values.end(), values_.begin());
  }
  void fill_zero() override { std::fill(values_.begin(), values_.end(), Real(0)); }
  void add(std::span<const Real> values) override {
    for (std::size_t i = 0; i < values.size(); ++i) values_[i] += values[i];
  }

 private:
  std::vector<Real> values_;
};

template <class Real>
class HostOptimizer : public Optimizer<Real> {
 public:
  explicit HostOptimizer(const ParameterLayout& layout) : layout_(layout) {}
  PendingNorm step(const OptimizerOptions& options, const OptimizerArrays<Real>& arrays) override {
    return [norm = optimizer_step(options, layout_, arrays)] { return norm; };
  }

 private:
  const ParameterLayout& layout_;
};

template <class Real>
class HostDevice : public FlowDevice<Real> {
 public:
  explicit HostDevice(HostMakers<Real> makers) : makers_(std::move(makers)) {}

  bool is_host() const override { return true; }
  bool has_room(std::size_t) const override { return true; }
  std::unique_ptr<FlatBuffer<Real>> make_buffer(std::size_t count) override {
    return std::make_unique<HostBuffer<Real>>(count);
  }
  void gather(std::span<const std::uint32_t> indices,
              std::span<const RowGather<Real>> gathers) override {
    for (const auto& [rows, columns, target] : gathers) gather_rows(rows, indices, columns, target);
  }
  void copy_columns(std::size_t batch, std::size_t count, const Columns<const Real>& source,
                    const Columns<Real>& target) override {
    for (std::size_t b = 0; b < batch; ++b)
      std::copy_n(source.values.begin() + b * source.width + source.first, count,
                  target.values.begin() + b * target.width + target.first);
  }

  std::unique_ptr<FlowBlock<Real>> make_block(const BlockPlace<Real>& place) override {
    if (std::holds_alternative<Cnf>(place.block)) return makers_.continuous(place);
    if (std::holds_alternative<BatchNorm>(place.block))
      return std::make_unique<BatchNormBlock<Real>>(place);
    if (std::holds_alternative<Split>(place.block))
      return std::make_unique<SplitBlock<Real>>(place);
    return std::make_unique<FixedBlock<Real>>(place);
  }
  std::unique_ptr<Posterior<Real>> make_posterior(const PosteriorPlace<Real>& place) override {
    return make_host_posterior(place, *this);
  }
  std::unique_ptr<FeedForward<Real>> make_feed_forward(
      const FeedForwardPlace<Real>& place) override {
    if (!makers_.feed_forward) return FlowDevice<Real>::make_feed_forward(place);
    return makers_.feed_forward(place);
  }
  std::unique_ptr<VaeTerms<Real>> make_vae_terms() override {
    return std::make_unique<HostVaeTerms<Real>>();
  }
  std::unique_ptr<Optimizer<Real>> make_optimizer(const ParameterLayout& layout) override {
    return std::make_unique<HostOptimizer<Real>>(layout);
  }
  PendingMeans likelihood(const BaseRows<const Real>& rows) override {
    return {true, [means = likelihood_means(rows)] { return means; }};
  }
  void seed_likelihood(const LikelihoodBar& bar, std::span<const Real> z,
                       const BaseRows<Real>& bars) override {
    ffjord::seed_likelihood(bar, z, bars);
  }

 private:
  const HostMakers<Real> makers_;
};

}  // namespace ffjord
