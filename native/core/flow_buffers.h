// The flat buffers of a flow: weights, gradients and what the optimizer keeps, in the memory of its
// device; running statistics on the host. Under spectral normalisation blocks read effective
// weights, W/σ, whose gradients are chained to those of the weights.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/flow_device.h"
#include "core/spectral_norm.h"

namespace ffjord {

template <class Real>
class FlowBuffers {
 public:
  /// With a flow's first weights, drawn from `seed`; without one, for weights that will be written,
  /// zeros. `layout` and `device` outlive the buffers.
  FlowBuffers(const FlowDescription& description, const ParameterLayout& layout,
              std::optional<std::uint64_t> seed, FlowDevice<Real>& device)
      : layout_(layout), device_(device) {
    const auto statistics = initial_buffers(description, layout);
    statistics_.assign(statistics.begin(), statistics.end());
    if (seed) {
      const auto weights = initial_parameters(description, layout, *seed);
      ensure(Buffer::Parameters).assign(std::vector<Real>(weights.begin(), weights.end()));
    }
    ensure(Buffer::Parameters);
    ensure(Buffer::Gradients);
    if (!spectral()) return;
    effective_ = device.make_buffer(layout.parameter_count);
    effective_bar_ = device.make_buffer(layout.parameter_count);
    for (std::uint32_t i = 0; seed && i < layout.spectral_weights.size(); ++i) {
      const auto matrix = spectral_matrix(layout.spectral_weights[i]);
      matrix.draw(*seed, i);
      matrix.iterate(kFirstIterations);
    }
  }

  FlatBuffer<Real>& parameters() { return *flat(Buffer::Parameters); }
  std::span<Real> statistics() { return statistics_; }
  /// What blocks with dynamics read, in the memory of the device.
  std::span<const Real> effective_weights() {
    return (spectral() ? *effective_ : parameters()).values();
  }

  void read(Buffer buffer, const Output& values) const {
    const std::size_t count = size_of(buffer);
    require(values.size() == count, "this buffer holds " + std::to_string(count) + " values");
    if (buffer == Buffer::Statistics) {
      values.assign(std::span<const Real>(statistics_));
    } else if (const FlatBuffer<Real>* kept = flat(buffer)) {
      values.assign(kept->on_host());
    } else if (buffer == Buffer::Average) {
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
    if (buffer == Buffer::Statistics)
      values.copy_to(std::span<Real>(statistics_));
    else
      ensure(buffer).assign(values.template as<Real>());
    return buffer == Buffer::Parameters || (buffer == Buffer::Statistics && spectral());
  }

  void zero_gradients() { ensure(Buffer::Gradients).fill_zero(); }

  /// Where a pullback adds its gradients; null where they are not wanted.
  FlatBuffer<Real>* begin_gradients(bool wanted) {
    if (!wanted) return nullptr;
    if (!spectral()) return flat(Buffer::Gradients);
    effective_bar_->fill_zero();
    return effective_bar_.get();
  }
  void end_gradients(const FlatBuffer<Real>* gradients) {
    if (!spectral() || !gradients) return;
    ensure(Buffer::Gradients)
        .add(0, pull_back_spectral_norm<Real>(layout_, parameters().on_host(), statistics_,
                                              gradients->on_host()));
  }

  /// Of the optimizer; then of u and v. Returns the gradients' norm before clipping.
  double step(const OptimizerOptions& options) {
    const bool averages = options.average_decay > 0;
    const bool starts_average = averages && !flat(Buffer::Average);
    const double norm = device_.step(
        options, layout_,
        {ensure(Buffer::Gradients).values(), parameters().values(),
         ensure(Buffer::FirstMoment).values(), ensure(Buffer::SecondMoment).values(),
         averages ? ensure(Buffer::Average).values() : std::span<Real>(), starts_average});
    for (const SpectralWeight& at : layout_.spectral_weights)
      spectral_matrix(at).iterate(at.iterations);
    return norm;
  }

  /// After a change of the weights, or of u and v.
  void update_effective_weights() {
    if (spectral())
      effective_->assign(apply_spectral_norm<Real>(layout_, parameters().on_host(), statistics_));
  }

 private:
  // So that σ of the first weights is right to some digits.
  static constexpr int kFirstIterations = 50;

  bool spectral() const { return !layout_.spectral_weights.empty(); }
  SpectralMatrix<Real> spectral_matrix(const SpectralWeight& at) {
    return {at, parameters().on_host(), statistics_};
  }
  std::size_t size_of(Buffer buffer) const {
    return buffer == Buffer::Statistics ? layout_.buffer_count : layout_.parameter_count;
  }
  // Null where it was never written: moments and the average before the optimizer's first step.
  FlatBuffer<Real>* flat(Buffer buffer) const { return flat_[static_cast<int>(buffer)].get(); }
  FlatBuffer<Real>& ensure(Buffer buffer) {
    auto& kept = flat_[static_cast<int>(buffer)];
    if (!kept) kept = device_.make_buffer(layout_.parameter_count);
    return *kept;
  }

  const ParameterLayout& layout_;
  FlowDevice<Real>& device_;
  std::unique_ptr<FlatBuffer<Real>> flat_[kBuffers];  // by Buffer
  std::vector<Real> statistics_;
  std::unique_ptr<FlatBuffer<Real>> effective_, effective_bar_;
};

}  // namespace ffjord
