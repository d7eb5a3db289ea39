#include <vector>

#include "core/regression.h"
#include "cuda/block/velocity_rows.h"

namespace ffjord::cuda {
namespace {

// Rows that lie on the host.
VelocityRows rows_of(const VelocityCall& call, std::span<const float> z, bool with_divergence) {
  DeviceArray<float> copy(z.size(), call.stream);
  copy.copy_in(z, call.stream);
  return {call, std::move(copy), with_divergence};
}

}  // namespace

void evaluate_velocity(const VelocityCall& call, std::span<const float> z, std::span<float> f,
                       std::span<float> divergence) {
  VelocityRows rows = rows_of(call, z, !divergence.empty());
  rows.evaluate(!divergence.empty(), TapeUse::Pass);
  rows.f().copy_out(f, call.stream);
  if (!divergence.empty()) rows.divergence().copy_out(divergence, call.stream);
  call.stream.synchronize();
}

void pull_velocity(const VelocityCall& call, std::span<const float> z_given,
                   std::span<const float> f_bar, std::span<const float> divergence_bar,
                   std::span<float> z_bar, float* gradient, std::span<double> times_bar) {
  const bool with_divergence = !divergence_bar.empty();
  VelocityRows rows = rows_of(call, z_given, with_divergence);
  rows.evaluate(with_divergence, TapeUse::Keep);
  DeviceArray<float> f(f_bar.size(), call.stream), divergence(divergence_bar.size(), call.stream),
      z(z_given.size(), call.stream);
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

void regress_velocity(const VelocityCall& call, std::span<const float> z,
                      const VelocityTarget& target, float* gradient) {
  VelocityRows rows = rows_of(call, z, false);
  rows.evaluate(false, TapeUse::Keep);
  std::vector<float> f(z.size());
  rows.f().copy_out(f, call.stream);
  call.stream.synchronize();
  regress(target, std::span(f));
  DeviceArray<float> f_bar(f.size(), call.stream), z_bar(f.size(), call.stream);
  f_bar.copy_in(f, call.stream);
  rows.pullback(f_bar.data(), nullptr, targets_of(call, z_bar, gradient));
  call.stream.synchronize();  // what was copied dies here
}

}  // namespace ffjord::cuda
