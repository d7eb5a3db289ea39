#include "core/objectives.h"

#include <algorithm>
#include <cmath>

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
  for (std::size_t b = 0; b < batch; ++b)
    values[b] = log_density_of_row(std::span(z).subspan(b * size, size), delta_logp[b], sign);
  return values;
}

SolveResult log_prob(Flow& flow, const SolveRequest& request, const Output& log_prob) {
  return in_parts(request, kRowsAtOnce, [&](SolveRequest part, std::size_t first) {
    part.outside = Outside::Improbable;
    Solved solved = solve_rows(flow, part);
    const auto values = log_density(solved.z, solved.delta_logp, -1);
    log_prob.subspan(first, part.batch).assign(std::span<const double>(values));
    return std::move(solved.result);
  });
}

LossReport loss(Flow& flow, SolveRequest request, const RegulariserWeights& weights,
                const Output& rows_bar, const Output& context_bar, const BatchPart& part) {
  request.keep_tape = request.keep_end = true;
  const SolveResult solved = flow.solve(request, {});
  const PendingMeans means = flow.likelihood(*solved.tape);

  LossReport report;
  report.forward = solved.statistics;
  report.block_evaluations = solved.block_evaluations;
  const auto set_loss = [&] {
    const LikelihoodMeans found = means.wait();
    report.loss = report.negative_log_prob = found.negative_log_prob;
    for (std::size_t r = 0; r < found.regularisers.size(); ++r)
      report.loss += weights[r] * found.regularisers[r];
    report.regularisers = found.regularisers;
    if (std::isfinite(report.loss)) return;
    flow.zero_gradients();
    throw SolveFailure(
        "the loss is not finite; look for outliers in the data, lower the learning rate, "
        "clip gradients",
        0, 0);
  };
  // A device is not waited for before its pullback is under way; but an adjoint is a solve, which
  // would fail of what is not finite.
  const bool checks_first =
      means.here || request.settings.gradient.method == GradientMethod::Adjoint;
  if (checks_first) set_loss();
  if (part.first) flow.zero_gradients();
  PullbackRequest pullback;
  pullback.rows_bar = rows_bar;
  pullback.context_bar = context_bar;
  pullback.likelihood = {part.weight / double(request.share.whole_of(request.batch)), weights};
  report.backward = flow.pullback(*solved.tape, pullback);
  if (!checks_first) set_loss();
  return report;
}

SolveResult score(Flow& flow, SolveRequest request, const Output& score) {
  request.keep_tape = true;
  request.settings.regularisers = {};
  const std::size_t size = sample_size(flow);
  return in_parts(request, kRowsAtOnce, [&](const SolveRequest& part, std::size_t first) {
    Solved solved = solve_rows(flow, part);
    for (double& z : solved.z) z = -z;  // ∂ log N(z) / ∂z
    const std::vector<double> delta_logp_bar(part.batch, -1.0);
    PullbackRequest pullback;
    pullback.z_bar = solved.z;
    pullback.delta_logp_bar = delta_logp_bar;
    pullback.parameters = false;
    pullback.rows_bar = score.subspan(first * size, part.batch * size);
    const auto backward = flow.pullback(*solved.result.tape, pullback);
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
  return in_parts(request, kRowsAtOnce, [&](SolveRequest part, std::size_t first) {
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
