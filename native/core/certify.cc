#include "core/certify.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "core/batch_parts.h"
#include "core/block_noise.h"
#include "core/fixed_run.h"
#include "core/objectives.h"
#include "core/tableau.h"

namespace ffjord {
namespace {

// Rows of a batch, each `probes` times: probe k of row b is row k B + b.
class Repeated {
 public:
  using Vector = std::vector<double>;

  Repeated(const Flow& flow, const SolveRequest& request)
      : request_(request), size_(element_count(flow.description().shape)) {
    request_.settings.trace.lattice =
        0;  // a probe by itself is an estimate, which lattices are not
    for (const NetPlan& net : plan_nets(flow.description())) {
      plans_.push_back(plan_trace(net, request_.settings.trace, {}));
      sizes_.push_back(plans_.back().noise_size(net.size_in()));
    }
    const auto draws = [](const TracePlan& plan) { return plan.draws_noise(); };
    const TraceOptions& trace = request.settings.trace;
    if (std::any_of(plans_.begin(), plans_.end(), draws))
      probes_ = trace.mode == TraceMode::Hutchinson && trace.probes >= kLeastProbes
                    ? trace.probes
                    : kCertifyingProbes;
    repeat(request.rows.given.as<double>(), rows_);
    repeat(request.context.given.as<double>(), context_);
    draw();
  }

  std::size_t probes() const { return probes_; }

  struct Solved {
    std::vector<double> z, delta_logp, log_prob;
    SolveResult result;
  };
  /// All repeated rows.
  Solved solve(Flow& flow, const SolverOptions& solver) const {
    SolveRequest request = part(rows_, context_, request_.batch * probes_);
    request.settings.solver = solver;
    Solved solved;
    solved.z.resize(request.batch * size_);
    solved.delta_logp.resize(request.batch);
    solved.result = flow.solve(request, {solved.z, solved.delta_logp, {}, {}, {}});
    solved.log_prob = log_density(solved.z, solved.delta_logp, -1);
    return solved;
  }

  /// flow⁻¹ of the first probe's z (B, D).
  std::vector<double> invert(Flow& flow, const std::vector<double>& z) const {
    SolveRequest request = of_first_probe(z);
    request.direction = Direction::Reverse;
    std::vector<double> rows(request_.batch * size_);
    flow.solve(request, {rows, {}, {}, {}, {}});
    return rows;
  }

  /// How log p of the first probe changes with what is rounded.
  struct Slopes {
    std::vector<double> rows, first, context;  // (B, D), behind the fixed run (B, D), (B, C)
  };
  Slopes slopes(Flow& flow) const {
    SolveRequest request = of_first_probe(rows_);
    request.keep_tape = true;
    request.settings.gradient = {};  // an adjoint takes not every control
    const std::size_t count = request_.batch * size_;
    std::vector<double> z(count), delta_logp_bar(request_.batch, -1.0);
    const SolveResult solved = flow.solve(request, {z, {}, {}, {}, {}});
    for (double& value : z) value = -value;  // ∂ log N(z) / ∂z
    Slopes slopes{Vector(count), Vector(count), Vector(request.context.given.size())};
    PullbackRequest pullback;
    pullback.z_bar = z;
    pullback.delta_logp_bar = delta_logp_bar;
    pullback.parameters = false;
    pullback.rows_bar = slopes.rows;
    pullback.first_bar = slopes.first;
    pullback.context_bar = slopes.context;
    flow.pullback(*solved.tape, pullback);
    return slopes;
  }

  std::vector<std::string> traces() const {
    std::vector<std::string> texts;
    for (TracePlan plan : plans_) {
      if (plan.draws_noise()) plan.probes = static_cast<int>(probes_);
      texts.push_back(describe(plan));
    }
    return texts;
  }

 private:
  void repeat(const std::vector<double>& once, std::vector<double>& all) const {
    for (std::size_t k = 0; k < probes_; ++k) all.insert(all.end(), once.begin(), once.end());
  }

  void draw() {
    const Noise& noise = request_.noise;
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      if (!plans_[i].draws_noise()) {
        noise_.emplace_back();
        continue;
      }
      const BlockNoise<double> eps{static_cast<int>(probes_),
                                   request_.batch,
                                   sizes_[i],
                                   plans_[i].noise,
                                   {noise.seed, noise.call, static_cast<std::uint32_t>(i), 0},
                                   noise.row_offset,
                                   keys_of(noise, request_.rows.given, request_.batch),
                                   {},
                                   {.channels = 0, .plane = {}, .spacing = {}}};
      noise_.push_back(eps.values());
    }
  }

  // `all` (K B, D), of which the first probe's rows are solved.
  SolveRequest of_first_probe(const std::vector<double>& all) const {
    return part(Input(all).subspan(0, request_.batch * size_),
                Input(context_).subspan(0, context_.size() / probes_), request_.batch);
  }

  SolveRequest part(const Input& rows, const Input& context, std::size_t batch) const {
    SolveRequest request;
    request.batch = batch;
    request.rows = rows;
    request.context = context;
    request.settings = request_.settings;
    request.settings.trace.probes = 1;
    request.settings.regularisers = {};
    request.stop = request_.stop;
    request.outside = Outside::Improbable;
    for (std::size_t i = 0; i < noise_.size(); ++i)
      request.noise.given.push_back(
          Input(noise_[i]).subspan(0, noise_[i].empty() ? 0 : batch * sizes_[i]));
    return request;
  }

  SolveRequest request_;
  const std::size_t size_;          // D
  std::vector<TracePlan> plans_;    // of the CNF blocks
  std::vector<std::size_t> sizes_;  // of ε of each, a row
  std::size_t probes_ = 1;
  std::vector<double> rows_, context_;
  std::vector<std::vector<double>> noise_;  // ε of the CNF blocks, (K B, D)
};

// No tighter than the engine's numbers.
SolverOptions tightened(SolverOptions solver, double epsilon) {
  for (double* tolerance : {&solver.rtol, &solver.atol})
    *tolerance = std::min(*tolerance, std::max(*tolerance / 100, epsilon));
  solver.steps *= 2;
  return solver;
}

// log p is the sum of ½‖z‖², ½ D log 2π and Δlogp, each with a relative error of the engine's
// numbers.
double rounding(const Repeated::Solved& solved, std::size_t row, std::size_t size, double epsilon) {
  double terms = 0.5 * double(size) * std::log(2 * std::numbers::pi);
  for (std::size_t i = row * size; i < (row + 1) * size; ++i)
    terms += 0.5 * solved.z[i] * solved.z[i];
  return epsilon * (terms + std::abs(solved.delta_logp[row]));
}

// Half a unit in the last place of numbers that lie `epsilon` apart at 1.
double half_unit(double value, double epsilon) {
  return value == 0 ? 0 : std::ldexp(epsilon / 2, std::ilogb(value));
}

// What rounding does to log p before the solver begins, to first order, a row each: of the rows, as
// they were given; of what the fixed run makes of them, and of contexts, as the engine takes them.
// The numbers round independently, so that their squares add up.
std::vector<double> rounding_of_input(Flow& flow, const Repeated& repeated,
                                      const SolveRequest& request) {
  const Repeated::Slopes slopes = repeated.slopes(flow);
  const FlowDescription& description = flow.description();
  const auto shapes = validate(description);
  const FixedRun run(description, shapes);
  const std::size_t batch = request.batch, size = slopes.rows.size() / batch;
  const std::vector<double> rows = request.rows.given.as<double>(),
                            contexts = request.context.given.as<double>();
  std::vector<double> first = rows, delta_logp(batch);
  run.map({batch, size, first, delta_logp}, Outside::Improbable, nullptr);

  const double given = request.rows.given.is_float64() ? 0x1p-52 : 0x1p-23,
               epsilon = flow.epsilon();
  const bool rounds_first = !run.empty() || epsilon > given;
  std::vector<double> errors(batch);
  for (std::size_t b = 0; b < batch; ++b) {
    double squares = 0;
    for (std::size_t i = b * size; i < (b + 1) * size; ++i) {
      squares += std::pow(slopes.rows[i] * half_unit(rows[i], given), 2);
      if (rounds_first) squares += std::pow(slopes.first[i] * half_unit(first[i], epsilon), 2);
    }
    const std::size_t width = contexts.size() / batch;
    for (std::size_t i = b * width; i < (b + 1) * width; ++i)
      squares += std::pow(slopes.context[i] * half_unit(contexts[i], epsilon), 2);
    errors[b] = std::sqrt(squares);
  }
  return errors;
}

SolveResult certify_part(Flow& flow, const SolveRequest& request, const CertifiedOutput& output) {
  const std::size_t batch = request.batch;
  const Repeated repeated(flow, request);
  const std::size_t probes = repeated.probes();
  const double epsilon = flow.epsilon();
  const Repeated::Solved solved = repeated.solve(flow, request.settings.solver);
  const std::vector<double>& values = solved.log_prob;
  const std::vector<double> tight =
      repeated.solve(flow, tightened(request.settings.solver, epsilon)).log_prob;
  const std::vector<double> back = repeated.invert(flow, solved.z);
  const std::vector<double> input = rounding_of_input(flow, repeated, request);
  const std::vector<double> rows = request.rows.given.as<double>();
  const std::size_t size = rows.size() / batch;

  std::vector<double> log_prob(batch), probe_error(batch), solver_error(batch), round_trip(batch);
  for (std::size_t b = 0; b < batch; ++b) {
    if (std::isinf(values[b])) {  // outside of the support, and certainly so
      log_prob[b] = values[b];
      continue;
    }
    double tight_mean = 0, squares = 0;
    for (std::size_t k = 0; k < probes; ++k) {
      log_prob[b] += values[k * batch + b] / double(probes);
      tight_mean += tight[k * batch + b] / double(probes);
    }
    for (std::size_t k = 0; k < probes; ++k)
      squares += std::pow(values[k * batch + b] - log_prob[b], 2);
    if (probes > 1) probe_error[b] = std::sqrt(squares / double(probes - 1) / double(probes));
    solver_error[b] =
        std::hypot(tight_mean - log_prob[b], rounding(solved, b, size, epsilon), input[b]);
    for (std::size_t i = b * size; i < (b + 1) * size; ++i)
      round_trip[b] = std::max(round_trip[b], std::abs(back[i] - rows[i]));
  }
  output.log_prob.assign(std::span<const double>(log_prob));
  output.probe_error.assign(std::span<const double>(probe_error));
  output.solver_error.assign(std::span<const double>(solver_error));
  output.round_trip_error.assign(std::span<const double>(round_trip));
  SolveResult result;
  result.statistics = solved.result.statistics;
  result.block_evaluations = solved.result.block_evaluations;
  result.traces = repeated.traces();
  return result;
}

}  // namespace

SolveResult certify(Flow& flow, const SolveRequest& request, const CertifiedOutput& output) {
  if (!request.noise.given.empty())
    throw Error(ErrorCode::InvalidArgument,
                "certify draws its own probes; leave the noise out, or give a seed");
  const std::size_t most =
      kRowsAtOnce / std::max(request.settings.trace.probes, kCertifyingProbes) + 1;
  return in_parts(request, most, [&](const SolveRequest& part, std::size_t first) {
    const auto cut = [&](const Output& whole) { return whole.subspan(first, part.batch); };
    return certify_part(flow, part,
                        {cut(output.log_prob), cut(output.probe_error), cut(output.solver_error),
                         cut(output.round_trip_error)});
  });
}

}  // namespace ffjord
