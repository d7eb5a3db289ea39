// The flat buffers of a layout on a device: weights, gradients, running statistics and what the
// optimizer keeps. They belong to no flow, so that one optimizer can move several nets whose parts
// stand in one layout. Under spectral normalisation blocks read effective weights, W/σ, whose
// gradients are chained to those of the weights.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/flow_device.h"
#include "core/spectral_norm.h"

namespace ffjord {

template <class Real>
class ParameterBuffers {
 public:
  /// Weights and statistics start as given, or as zeros where that is empty. `layout` and `device`
  /// outlive the buffers.
  ParameterBuffers(const ParameterLayout& layout, FlowDevice<Real>& device, const Input& weights,
                   const Input& statistics)
      : layout_(layout), device_(device), optimizer_(device.make_optimizer(layout)) {
    ensure(Buffer::Gradients);
    if (!weights.empty()) ensure(Buffer::Parameters).assign(weights.template as<Real>());
    if (!statistics.empty()) ensure(Buffer::Statistics).assign(statistics.template as<Real>());
    if (!spectral()) return;
    effective_ = device.make_buffer(layout.parameter_count);
    effective_bar_ = device.make_buffer(layout.parameter_count);
  }

  /// The first u and v of spectral normalisation, near the singular vectors of the weights.
  void draw_spectral_vectors(std::uint64_t seed) {
    std::uint32_t number = 0;
    move_spectral_vectors([&](const SpectralWeight&, const SpectralMatrix<Real>& matrix) {
      matrix.draw(seed, number++);
      matrix.iterate(kFirstIterations);
    });
  }

  FlatBuffer<Real>& parameters() { return ensure(Buffer::Parameters); }
  FlatBuffer<Real>& statistics() { return ensure(Buffer::Statistics); }
  /// Single weights, on the host.
  std::vector<Real> weights_at(std::span<const std::size_t> places) const {
    const FlatBuffer<Real>* const kept = flat(Buffer::Parameters);
    return kept ? kept->at(places) : std::vector<Real>(places.size());
  }
  /// What blocks read, in the memory of the device.
  std::span<const Real> effective_weights() {
    return (spectral() ? *effective_ : parameters()).values();
  }

  void read(Buffer buffer, const Output& values) const {
    const std::size_t count = size_of(buffer);
    require(values.size() == count, "this buffer holds " + std::to_string(count) + " values");
    if (const FlatBuffer<Real>* kept = flat(buffer)) {
      values.assign(kept->on_host());
    } else if (buffer == Buffer::Average && flat(Buffer::Parameters)) {
      values.assign(flat(Buffer::Parameters)->on_host());
    } else {
      const std::vector<Real> zeros(count, Real(0));
      values.assign(std::span<const Real>(zeros));
    }
  }

  /// Whether the effective weights, or what they are made of, changed.
  bool write(Buffer buffer, const Input& values) {
    const std::size_t count = size_of(buffer);
    require(values.size() == count, "this buffer holds " + std::to_string(count) + " values, and " +
                                        std::to_string(values.size()) + " were given");
    ensure(buffer).assign(values.template as<Real>());
    return buffer == Buffer::Parameters || (buffer == Buffer::Statistics && spectral());
  }

  void zero_gradients() { ensure(Buffer::Gradients).fill_zero(); }
  void sum_gradients(SharedSums& sums) { ensure(Buffer::Gradients).sum(sums); }

  /// Where a pullback adds its gradients, in the memory of the device; empty where they are not
  /// wanted.
  std::span<Real> begin_gradients(bool wanted) {
    if (!wanted) return {};
    if (!spectral()) return ensure(Buffer::Gradients).values();
    effective_bar_->fill_zero();
    return effective_bar_->values();
  }
  /// Behind the pullback.
  void end_gradients(bool wanted) {
    if (!spectral() || !wanted) return;
    std::vector<Real> values = statistics_on_host();
    ensure(Buffer::Gradients)
        .add(pull_back_spectral_norm<Real>(layout_, parameters().on_host(), values,
                                           effective_bar_->on_host()));
  }

  /// The optimizer moves the weights, then u and v follow.
  PendingNorm step(const OptimizerOptions& options) {
    const bool averages = options.average_decay > 0;
    const bool starts_average = averages && !flat(Buffer::Average);
    PendingNorm norm = optimizer_->step(
        options, {ensure(Buffer::Gradients).values(), parameters().values(),
                  ensure(Buffer::FirstMoment).values(), ensure(Buffer::SecondMoment).values(),
                  averages ? ensure(Buffer::Average).values() : std::span<Real>(), starts_average});
    move_spectral_vectors([](const SpectralWeight& at, const SpectralMatrix<Real>& matrix) {
      matrix.iterate(at.iterations);
    });
    return norm;
  }

  /// Must be called after a change of the weights, or of u and v.
  void update_effective_weights() {
    if (!spectral()) return;
    change_statistics([&](std::span<Real> values) {
      effective_->assign(apply_spectral_norm<Real>(layout_, parameters().on_host(), values));
    });
  }

 private:
  // So that σ of the first weights is right to some digits.
  static constexpr int kFirstIterations = 50;

  bool spectral() const { return !layout_.spectral_weights.empty(); }

  template <class Move>
  void move_spectral_vectors(const Move& move) {
    if (!spectral()) return;
    change_statistics([&](std::span<Real> values) {
      for (const SpectralWeight& at : layout_.spectral_weights)
        move(at, SpectralMatrix<Real>(at, parameters().on_host(), values));
    });
  }
  std::vector<Real> statistics_on_host() {
    const std::span<const Real> values = statistics().on_host();
    return {values.begin(), values.end()};
  }
  // Spectral normalisation is computed on the host.
  template <class Change>
  void change_statistics(const Change& change) {
    std::vector<Real> values = statistics_on_host();
    change(std::span<Real>(values));
    statistics().assign(values);
  }

  std::size_t size_of(Buffer buffer) const {
    return buffer == Buffer::Statistics ? layout_.buffer_count : layout_.parameter_count;
  }
  // Null where nobody asked for it yet, as moments and the average before the first step.
  FlatBuffer<Real>* flat(Buffer buffer) const { return flat_[static_cast<int>(buffer)].get(); }
  FlatBuffer<Real>& ensure(Buffer buffer) {
    auto& kept = flat_[static_cast<int>(buffer)];
    if (!kept) kept = device_.make_buffer(size_of(buffer));
    return *kept;
  }

  const ParameterLayout& layout_;
  FlowDevice<Real>& device_;
  const std::unique_ptr<Optimizer<Real>> optimizer_;
  std::unique_ptr<FlatBuffer<Real>> flat_[kBuffers];  // by Buffer
  std::unique_ptr<FlatBuffer<Real>> effective_, effective_bar_;
};

}  // namespace ffjord
