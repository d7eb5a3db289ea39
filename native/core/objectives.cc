#include "core/objectives.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/batch_parts.h"

namespace ffjord {
namespace {

std::size_t sample_size(const Flow& flow) { return element_count(flow.description().shape); }

struct Solved {
  std::vector<double> z, delta_logp, regularisers;
  SolveResult result;
};

Solved solve_rows(Flow& flow, const SolveRequest& request) {
  Solved solved;
  solved.z.resize(request.batch * sample_size(flow));
  solved.delta_logp.resize(request.batch);
  solved.regularisers.resize(request.batch * request.settings.regularisers.count());
  solved.result = flow.solve(request, {solved.z, solved.delta_logp, solved.regularisers, {}, {}});
  return solved;
}

}  // namespace

std::vector<double> log_density(const std::vector<double>& z, const std::vector<double>& delta_logp,
                                double sign) {
  const std::size_t batch = delta_logp.size(), size = z.size() / batch;
  std::vector<double> values(batch);
  for (std::size_t b = 0; b < batch; ++b) {
    double square = 0;
    for (std::size_t i = 0; i < size; ++i) square += z[b * size + i] * z[b * size + i];
    values[b] = -0.5 * (square + size * std::log(2 * std::numbers::pi)) + sign * delta_logp[b];
  }
  return values;
}

SolveResult log_prob(Flow& flow, const SolveRequest& request, const Output& log_prob) {
  return in_parts(request, sample_size(flow), kRowsAtOnce,
                  [&](const SolveRequest& part, std::size_t first) {
                    Solved solved = solve_rows(flow, part);
                    const auto values = log_density(solved.z, solved.delta_logp, -1);
                    log_prob.subspan(first, part.batch).assign(std::span<const double>(values));
                    return std::move(solved.result);
                  });
}

LossReport loss(Flow& flow, SolveRequest request, const RegulariserWeights& weights,
                const Output& rows_bar, const Output& context_bar, const BatchPart& part) {
  request.keep_tape = true;
  const std::size_t batch = request.batch;
  const Solved solved = solve_rows(flow, request);

  LossReport report;
  for (double value : log_density(solved.z, solved.delta_logp, -1))
    report.negative_log_prob -= value / double(batch);
  const std::size_t channels = request.settings.regularisers.count();
  report.regularisers.assign(channels, 0.0);
  for (std::size_t i = 0; i < solved.regularisers.size(); ++i)
    report.regularisers[i % channels] += solved.regularisers[i] / double(batch);
  report.loss = report.negative_log_prob;
  for (std::size_t r = 0; r < channels; ++r) report.loss += weights[r] * report.regularisers[r];
  report.forward = solved.result.statistics;
  report.block_evaluations = solved.result.block_evaluations;
  if (!std::isfinite(report.loss))
    throw SolveFailure(
        "the loss is not finite; look for outliers in the data, lower the learning rate, "
        "clip gradients",
        0, 0);

  // −log p = ½‖z‖² + const + Δlogp, averaged over the batch.
  const double share = part.weight / double(batch);
  std::vector<double> z_bar(solved.z.size()), regularisers_bar(solved.regularisers.size());
  std::transform(solved.z.begin(), solved.z.end(), z_bar.begin(),
                 [share](double z) { return share * z; });
  for (std::size_t i = 0; i < regularisers_bar.size(); ++i)
    regularisers_bar[i] = weights[i % channels] * share;
  const std::vector<double> delta_logp_bar(batch, share);

  if (part.first) flow.zero_gradients();
  report.backward = flow.pullback(
      *solved.result.tape, {z_bar, delta_logp_bar, regularisers_bar, true, rows_bar, context_bar});
  return report;
}

SolveResult score(Flow& flow, SolveRequest request, const Output& score) {
  request.keep_tape = true;
  request.settings.regularisers = {};
  const std::size_t size = sample_size(flow);
  return in_parts(request, size, kRowsAtOnce, [&](const SolveRequest& part, std::size_t first) {
    Solved solved = solve_rows(flow, part);
    for (double& z : solved.z) z = -z;  // ∂ log N(z) / ∂z
    const std::vector<double> delta_logp_bar(part.batch, -1.0);
    const auto backward = flow.pullback(
        *solved.result.tape,
        {solved.z, delta_logp_bar, {}, false, score.subspan(first * size, part.batch * size), {}});
    solved.result.statistics.add(backward);
    solved.result.tape.reset();
    return std::move(solved.result);
  });
}

SolveResult sample(Flow& flow, SolveRequest request, double temperature, const Output& rows,
                   const Output& log_prob) {
  request.direction = Direction::Reverse;
  request.rows = {};
  const std::size_t size = sample_size(flow);
  return in_parts(request, size, kRowsAtOnce, [&](SolveRequest part, std::size_t first) {
    std::vector<double> z(part.batch * size);
    fill_noise<double>(NoiseLaw::Gaussian, {part.noise.seed, part.noise.call, kBaseBlock, 0},
                       part.noise.row_offset, size, z);
    for (double& value : z) value *= temperature;
    part.rows = z;
    std::vector<double> delta_logp(part.batch);
    SolveResult result =
        flow.solve(part, {rows.subspan(first * size, part.batch * size), delta_logp, {}, {}, {}});
    if (!log_prob.empty()) {
      const auto values = log_density(z, delta_logp, +1);
      log_prob.subspan(first, part.batch).assign(std::span<const double>(values));
    }
    return result;
  });
}

}  // namespace ffjord
