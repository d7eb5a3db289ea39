#include <vector>

#include "core/errors.h"
#include "core/regression.h"
#include "cuda/block/noise.h"
#include "cuda/block/velocity.h"

namespace ffjord::cuda {
namespace {

class VelocityRows {
 public:
  VelocityRows(const VelocityCall& call, bool with_divergence)
      : call_(call),
        own_times_(call.times.size() > 1),
        form_(call.net.form_of(call.trace, {}, with_divergence, call.times.size() == call.batch)),
        times_(call.times.size(), call.stream),
        groups_(call.times.size(), call.stream),
        z_(call.z.size(), call.stream),
        eps_(make_noise(call.noise, call.stream)),
        f_(call.z.size(), call.stream),
        divergence_(call.batch, call.stream) {
    if (own_times_ && call.net.layers().front().hyper())
      throw Error(ErrorCode::Unsupported,
                  "hyper layers take one time for all rows of a call; evaluate rows of different "
                  "times in calls of their own");
    call.workspace.use(
        {static_cast<int>(call.batch), static_cast<int>(call.times.size()), call.trace, {}});
    times_.copy_in(call.times, call.stream);
    z_.copy_in(call.z, call.stream);
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

  const DeviceArray<float>& f() const { return f_; }
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

FieldTargets targets_of(const VelocityCall& call, DeviceArray<float>& z_bar, float* gradient) {
  FieldTargets targets;
  targets.z_bar = z_bar.data();
  targets.z_bar_stride = call.net.dimension();
  targets.gradient = gradient;
  targets.terms = {call.terms_bar, call.net.context().terms()};
  return targets;
}

}  // namespace

void evaluate_velocity(const VelocityCall& call, std::span<float> f, std::span<float> divergence) {
  VelocityRows rows(call, !divergence.empty());
  rows.evaluate(!divergence.empty(), TapeUse::Pass);
  rows.f().copy_out(f, call.stream);
  if (!divergence.empty()) rows.divergence().copy_out(divergence, call.stream);
  call.stream.synchronize();
}

void pull_velocity(const VelocityCall& call, std::span<const float> f_bar,
                   std::span<const float> divergence_bar, std::span<float> z_bar, float* gradient,
                   std::span<double> times_bar) {
  const bool with_divergence = !divergence_bar.empty();
  VelocityRows rows(call, with_divergence);
  rows.evaluate(with_divergence, TapeUse::Keep);
  DeviceArray<float> f(f_bar.size(), call.stream), divergence(divergence_bar.size(), call.stream),
      z(call.z.size(), call.stream);
  f.copy_in(f_bar, call.stream);
  divergence.copy_in(divergence_bar, call.stream);
  FieldTargets targets = targets_of(call, z, gradient);
  targets.times = !times_bar.empty();
  rows.pullback(f.data(), with_divergence ? divergence.data() : nullptr, targets);
  const PullbackScratch& scratch = call.workspace.scratch();
  std::vector<float> bars(z_bar.size()),
      time_bars(targets.times ? scratch.used_time_parts * call.batch : 0);
  if (!bars.empty()) z.copy_out(bars, call.stream);
  if (targets.times)
    check(cudaMemcpyAsync(time_bars.data(), scratch.time_bars, time_bars.size() * sizeof(float),
                          cudaMemcpyDeviceToHost, call.stream.get()),
          "copy of t̄");
  call.stream.synchronize();
  for (std::size_t i = 0; i < bars.size(); ++i) z_bar[i] += bars[i];
  for (std::size_t i = 0; i < time_bars.size(); ++i)
    times_bar[times_bar.size() > 1 ? i % call.batch : 0] += time_bars[i];
}

void regress_velocity(const VelocityCall& call, const VelocityTarget& target, float* gradient) {
  VelocityRows rows(call, false);
  rows.evaluate(false, TapeUse::Keep);
  std::vector<float> f(call.z.size());
  rows.f().copy_out(f, call.stream);
  call.stream.synchronize();
  regress(target, std::span(f));
  DeviceArray<float> f_bar(f.size(), call.stream), z_bar(f.size(), call.stream);
  f_bar.copy_in(f, call.stream);
  rows.pullback(f_bar.data(), nullptr, targets_of(call, z_bar, gradient));
  call.stream.synchronize();  // what was copied dies here
}

}  // namespace ffjord::cuda
