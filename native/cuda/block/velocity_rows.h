// Rows at which a block's field is evaluated, and pulled back.
#pragma once

#include <utility>

#include "core/errors.h"
#include "cuda/block/noise.h"
#include "cuda/block/velocity.h"

namespace ffjord::cuda {

class VelocityRows {
 public:
  /// `z` (B, D). The call outlives the rows.
  VelocityRows(const VelocityCall& call, DeviceArray<float> z, bool with_divergence)
      : call_(call),
        own_times_(call.times.size() > 1),
        form_(call.net.form_of(call.trace, {}, with_divergence, call.times.size() == call.batch)),
        times_(call.times.size(), call.stream),
        groups_(call.times.size(), call.stream),
        z_(std::move(z)),
        eps_(make_noise(call.noise, call.stream)),
        f_(z_.size(), call.stream),
        divergence_(call.batch, call.stream) {
    if (own_times_ && call.net.layers().front().hyper())
      throw Error(ErrorCode::Unsupported,
                  "hyper layers take one time for all rows of a call; evaluate rows of different "
                  "times in calls of their own");
    call.workspace.use(
        {static_cast<int>(call.batch), static_cast<int>(call.times.size()), call.trace, {}});
    times_.copy_in(call.times, call.stream);
    place_groups(groups(), times_.data(), call.stream);
  }

  FieldPoint point() {
    const int dimension = call_.net.dimension();
    return {groups(),    0, static_cast<int>(call_.batch), {z_.data(), dimension}, eps_.data(), 1,
            call_.terms, {}};
  }

  void evaluate(bool with_divergence, TapeUse use) {
    call_.net.evaluate(call_.workspace.evaluation(0), &call_.workspace.scratch(), form_, point(),
                       {f_.data(), call_.net.dimension(),
                        with_divergence ? divergence_.data() : nullptr, nullptr, 1},
                       use);
  }

  /// Of an evaluation that was kept; `divergence_bar` null: f alone was evaluated.
  void pullback(const float* f_bar, const float* divergence_bar, const FieldTargets& targets) {
    call_.net.pullback(call_.workspace.evaluation(0), call_.workspace.scratch(), point(),
                       {f_bar, call_.net.dimension(), divergence_bar, nullptr, 1}, targets);
  }

  /// May become its cotangent, once it was read.
  DeviceArray<float>& f() { return f_; }
  const DeviceArray<float>& divergence() const { return divergence_; }

 private:
  Groups groups() {
    return {groups_.data(), static_cast<int>(groups_.size()),
            own_times_ ? 1 : static_cast<int>(call_.batch)};
  }

  const VelocityCall& call_;
  const bool own_times_;
  const EvaluationForm form_;
  DeviceArray<double> times_;
  DeviceArray<Group> groups_;
  DeviceArray<float> z_, eps_, f_, divergence_;
};

inline FieldTargets targets_of(const VelocityCall& call, DeviceArray<float>& z_bar,
                               float* gradient) {
  FieldTargets targets;
  targets.z_bar = z_bar.data();
  targets.z_bar_stride = call.net.dimension();
  targets.gradient = gradient;
  targets.terms = {call.terms_bar, call.net.context().terms()};
  return targets;
}

}  // namespace ffjord::cuda
