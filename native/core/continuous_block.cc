#include "core/continuous_block.h"

#include <string>

#include "core/given_contexts.h"
#include "core/regression.h"

namespace ffjord {
namespace {

// STEER's factor of a block's end time: its draw stands beside the noise of the same call.
double end_time_factor(const SolveRequest& request, std::uint32_t number) {
  const double steer = request.settings.steer;
  if (steer == 0 || !request.training) return 1;
  const NoiseKey key{request.noise.seed, request.noise.call, kEndTimeBlock, 0};
  return 1 + steer * (2 * double(draw4(NoiseLaw::Uniform, key, number, 0)[0]) - 1);
}

template <class Real>
BlockRows<Real> block_rows(ChainState<Real>& state, const RowValues<Real>& context,
                           std::span<Real> context_bar) {
  return {state.batch,
          state.z.on_device(),
          state.delta_logp.on_device(),
          state.regularisers.on_device(),
          context.read_on_device(),
          context_bar};
}

}  // namespace

template <class Real>
BlockPlan ContinuousBlock<Real>::plan_of(const ChainSolve<Real>& call) const {
  const Settings& settings = call.request.settings;
  return {settings.solver,
          settings.gradient,
          plan_trace(place_.offsets.net, settings.trace, settings.regularisers),
          settings.regularisers,
          call.sqrt_end_times[place_.number],
          end_time_factor(call.request, place_.number),
          call.request.stop,
          call.request.share};
}

// ε of the block on a batch; `rows` are those of the call.
template <class Real>
BlockNoise<Real> ContinuousBlock<Real>::noise_of(const Noise& noise, const Input& given,
                                                 const Input& rows, const TracePlan& plan,
                                                 std::size_t batch) const {
  require(given.empty() || plan.draws_noise(),
          "noise was given, but the trace is " + describe(plan) + "; ask for trace: { noise: … }");
  if (!plan.draws_noise()) return {};
  BlockNoise<Real> eps{plan.probes,
                       batch,
                       plan.noise_size(place_.size()),
                       plan.noise,
                       {noise.seed, noise.call, place_.number, 0},
                       noise.row_offset,
                       keys_of(noise, rows, batch),
                       given.as<Real>(),
                       plan.lattice};
  require(given.empty() || given.size() == eps.size(),
          "noise of CNF block " + std::to_string(place_.number) + " must hold " +
              std::to_string(eps.size()) +
              " values (probes × batch × dimension, or the width of a bottleneck), not " +
              std::to_string(given.size()));
  return eps;
}

template <class Real>
std::unique_ptr<BlockTape> ContinuousBlock<Real>::solve(const ChainSolve<Real>& call,
                                                        ChainState<Real>& state) {
  const SolveRequest& request = call.request;
  const BlockPlan plan = plan_of(call);
  const auto& given = request.noise.given;
  const BlockNoise<Real> noise =
      noise_of(request.noise, place_.number < given.size() ? given[place_.number] : Input(),
               request.rows.given, plan.trace, state.batch);
  const BlockTrajectory<Real> stops = call.trajectory.enter(place_.number);
  SolveStatistics statistics;
  std::unique_ptr<BlockTape> tape;
  try {
    tape = solve_rows(plan, call.reverse(), block_rows(state, call.context, {}), noise,
                      request.keep_tape, stops.times.empty() ? nullptr : &stops, statistics);
  } catch (SolveFailure& failure) {
    failure.block = static_cast<int>(place_.index);
    throw;
  }
  call.trajectory.leave();
  statistics.smallest_step_block = static_cast<int>(place_.index);
  SolveResult& result = call.result;
  result.block_stiffness.push_back(statistics.stiffness());
  result.statistics.add(statistics);
  result.block_evaluations.push_back(statistics.evaluations);
  result.traces.push_back(describe(plan.trace));
  return tape;
}

template <class Real>
void ContinuousBlock<Real>::pullback(const BlockTape& tape, const ChainPullback<Real>& call,
                                     ChainState<Real>& bar) {
  SolveStatistics statistics;
  pull_rows(tape, block_rows(bar, call.context, call.context_bar), call.gradients, statistics);
  call.statistics.add(statistics);
}

// A request's states in the engine's numbers, once they are checked.
template <class Real>
struct ContinuousBlock<Real>::GivenPoint {
  GivenPoint(const ContinuousBlock& block, const VelocityRequest& request, bool with_divergence)
      : request(request),
        z(request.z.template as<Real>()),
        context(given_contexts<Real>(block.place_.context, request.context, request.batch)) {
    const BlockPlace<Real>& place = block.place_;
    require(request.batch > 0, "the batch is empty");
    require(z.size() == request.batch * place.size(), "z must hold one state a row");
    require(request.times.size() == 1 || request.times.size() == request.batch,
            "times needs one entry, or one a row");
    plan = plan_trace(place.offsets.net, request.trace, {});
    const auto& given = request.noise.given;
    if (with_divergence)
      noise = block.noise_of(request.noise, given.empty() ? Input() : given[0], request.z, plan,
                             request.batch);
  }
  BlockPoint<Real> view() const {
    return {plan, request.times, request.batch, z, noise, context, request.share};
  }

  const VelocityRequest& request;
  std::vector<Real> z, context;
  TracePlan plan;
  BlockNoise<Real> noise;
};

template <class Real>
void ContinuousBlock<Real>::velocity(const VelocityRequest& request, const Output& f,
                                     const Output& divergence) {
  const GivenPoint point(*this, request, !divergence.empty());
  std::vector<Real> f_values(point.z.size()), divergence_values(divergence.size());
  evaluate(point.view(), f_values, divergence_values);
  f.assign(std::span<const Real>(f_values));
  divergence.assign(std::span<const Real>(divergence_values));
}

template <class Real>
void ContinuousBlock<Real>::velocity_pullback(const VelocityRequest& request, const Input& f_bar,
                                              const Input& divergence_bar,
                                              std::span<Real> gradients, const Output& z_bar) {
  const GivenPoint point(*this, request, !divergence_bar.empty());
  require(f_bar.size() == point.z.size(), "f_bar must have the shape of z");
  require(divergence_bar.empty() || divergence_bar.size() == request.batch,
          "divergence_bar needs one number a row");
  require(request.context_bar.empty() || request.context_bar.size() == point.context.size(),
          "context_bar must have the shape of the context");
  const auto f_values = f_bar.as<Real>();
  const auto divergence_values = divergence_bar.as<Real>();
  std::vector<Real> z_values(z_bar.size()), context_values(request.context_bar.size());
  pull_point(point.view(), {f_values, divergence_values, z_values, context_values, gradients, {}});
  z_bar.assign(std::span<const Real>(z_values));
  request.context_bar.assign(std::span<const Real>(context_values));
}

template <class Real>
void ContinuousBlock<Real>::velocity_regression(const VelocityRequest& request,
                                                const VelocityTarget& target,
                                                std::span<Real> gradients) {
  const GivenPoint point(*this, request, false);
  require(target.line.size() == point.z.size() && target.losses.size() == request.batch,
          "a target needs the shape of z, and a loss a row");
  regress_point(point.view(), target, gradients);
}

template <class Real>
void ContinuousBlock<Real>::regress_point(const BlockPoint<Real>& point,
                                          const VelocityTarget& target, std::span<Real> gradients) {
  std::vector<Real> f(point.z.size());
  evaluate(point, f, {});
  regress(target, std::span(f));
  pull_point(point, {f, {}, {}, {}, gradients, {}});
}

template <class Real>
void ContinuousBlock<Real>::match(const MatchingRequest& request, std::span<const Real> x0,
                                  std::span<const Real> context, std::span<Real> gradients) {
  require(request.s.size() == request.batch && request.losses.size() == request.batch,
          "flow matching needs a place and a loss a row");
  match_rows({request, plan_trace(place_.offsets.net, {}, {}), x0, context}, gradients);
}

template <class Real>
void ContinuousBlock<Real>::match_rows(const MatchingRows<Real>&, std::span<Real>) {
  throw Error(ErrorCode::Unsupported, "points of flow matching are made on the host here");
}

template class ContinuousBlock<float>;
template class ContinuousBlock<double>;

}  // namespace ffjord
