// The likelihood of rows on the device, and its cotangents, against the host's.
#include <limits>

#include "cuda/flow/likelihood.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using namespace ffjord;
using ffjord::cuda::DeviceLikelihood;
using ffjord::cuda::FlowStream;

std::span<float> span_of(DeviceArray<float>& array) { return {array.data(), array.size()}; }
std::span<const float> span_of(const DeviceArray<float>& array) {
  return {array.data(), array.size()};
}

/// z (B, D), Δlogp (B), regularisers (B, R).
struct Rows {
  std::vector<float> z, delta_logp, regularisers;

  Rows(std::size_t batch, std::size_t size, std::size_t channels, std::mt19937_64& generator)
      : z(normal_floats(batch * size, generator, 2)),
        delta_logp(normal_floats(batch, generator, 5)),
        regularisers(normal_floats(batch * channels, generator)) {}
};

void check_shape(Report& report, const FlowStream& stream, DeviceLikelihood& likelihood,
                 std::size_t batch, std::size_t size, std::size_t channels) {
  std::mt19937_64 generator(batch);
  const Rows rows(batch, size, channels, generator);
  const auto z = on_device(rows.z, stream), delta_logp = on_device(rows.delta_logp, stream),
             regularisers = on_device(rows.regularisers, stream);
  const auto means = likelihood.means({span_of(z), span_of(delta_logp), span_of(regularisers)});
  const LikelihoodMeans found = means.wait();
  const LikelihoodMeans expected =
      likelihood_means<float>({rows.z, rows.delta_logp, rows.regularisers});
  report.expect("mean", std::abs(found.negative_log_prob / expected.negative_log_prob - 1), 1e-13);
  report.expect("channels", found.regularisers.size() == channels);
  for (std::size_t r = 0; r < channels; ++r)
    report.expect("regulariser", std::abs(found.regularisers[r] - expected.regularisers[r]), 1e-14);

  LikelihoodBar bar{0.75 / double(batch), {}};
  for (std::size_t r = 0; r < channels; ++r) bar.weights.push_back(0.1 + double(r));
  Rows host = rows;
  seed_likelihood<float>(bar, rows.z, {host.z, host.delta_logp, host.regularisers});
  DeviceArray<float> z_bar(rows.z.size(), stream), delta_logp_bar(batch, stream),
      regularisers_bar(rows.regularisers.size(), stream);
  ffjord::cuda::write_likelihood_bars(
      bar, span_of(z), {span_of(z_bar), span_of(delta_logp_bar), span_of(regularisers_bar)},
      stream);
  report.expect("z bar", from_device(z_bar, stream) == host.z);
  report.expect("delta logp bar", from_device(delta_logp_bar, stream) == host.delta_logp);
  report.expect("regularisers bar", from_device(regularisers_bar, stream) == host.regularisers);
}

void check_not_a_number(Report& report, const FlowStream& stream, DeviceLikelihood& likelihood) {
  std::vector<float> rows(2000, 1.f);
  rows[1999] = std::numeric_limits<float>::quiet_NaN();
  const auto z = on_device(rows, stream), delta_logp = on_device(rows, stream);
  const auto means = likelihood.means({span_of(z), span_of(delta_logp), {}});
  report.expect("one row that is no number", std::isnan(means.wait().negative_log_prob));
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const FlowStream stream(0, {});
  DeviceLikelihood likelihood(stream);
  for (const std::size_t batch : {1, 100, 1024, 3001})
    for (const std::size_t channels : {0, 2, 8}) {
      check_shape(report, stream, likelihood, batch, 3, channels);
      check_shape(report, stream, likelihood, batch, 1, channels);
    }
  check_not_a_number(report, stream, likelihood);
  report.finish("likelihood on the device");
  return report.failures() > 0;
}
