#include "cpu/adjoint.h"

#include <algorithm>
#include <array>

#include "cpu/adjoint_gradients.h"
#include "cpu/context_tiles.h"

namespace ffjord::cpu {
namespace {

// Channels [z | λ | −Δlogp | r̄], the last the cotangent of the context's terms, in the norm where
// the weights' is. The cotangents of Δlogp and of the regularisers are constant, as nothing depends
// on these.
class AdjointSystem final : public TileSystem {
 public:
  AdjointSystem(const BlockCall& call, const SolveTape& tape, const BlockRows<float>& bars,
                AdjointGradients& gradients)
      : call_(call),
        tape_(tape),
        gradients_(gradients),
        quadratures_(1 + call.regularisers()),
        bars_(call.tiles.count() * quadratures_ * call.tiles.rows) {
    const Tiles& tiles = call.tiles;
    for (std::size_t tile = 0; tile < tiles.count(); ++tile) {
      float* bar = bars_.data() + tile * quadratures_ * tiles.rows;
      load_tile(tiles, tile, bars.delta_logp, 1, bar);
      load_tile(tiles, tile, bars.regularisers, call.regularisers(), bar + tiles.rows);
      for (std::size_t row = 0; row < tiles.rows; ++row) bar[row] = -bar[row];
      for (std::size_t i = tiles.rows; i < quadratures_ * tiles.rows; ++i)
        bar[i] *= call.direction();
    }
  }

  static Channels channels_of(const BlockCall& call) {
    const std::size_t terms = call.net.terms();
    const bool in_norm = call.plan.gradient.norm == AdjointNorm::Full;
    return {2 * call.dimension + 1 + terms,
            2 * call.dimension,
            {call.dimension, call.dimension, 1, in_norm ? terms : 0}};
  }
  Channels channels() const override { return channels_of(call_); }

  void evaluate(int worker, std::size_t tile, int stage, const TimeSlot& time, const float* state,
                float* rates) override {
    auto& memory = call_.workspace.worker(worker);
    Activations& activations = call_.workspace.activations(memory, 0);
    const std::size_t z = call_.z_size(), rows = call_.tiles.rows;
    memory.rates.resize((1 + quadratures_) * rows);
    float* regularisers = call_.regularisers() > 0 ? memory.rates.data() : nullptr;
    call_.net.evaluate(
        time,
        {state, tape_.tile_noise(tile), rates, rates + 2 * z, regularisers, tape_.tile_terms(tile)},
        activations, true);

    const AdjointGradients::Target target = gradients_.target(stage, tile);
    const float* lambda = state + z;
    const float* quadrature_bars = tile_bars(tile);
    if (target.scale != 1) {
      memory.bars.resize(z + quadratures_ * rows);
      float* scaled = memory.bars.data();
      for (std::size_t i = 0; i < z; ++i) scaled[i] = target.scale * lambda[i];
      for (std::size_t i = 0; i < quadratures_ * rows; ++i)
        scaled[z + i] = target.scale * quadrature_bars[i];
      lambda = scaled;
      quadrature_bars = scaled + z;
    }
    float* lambda_rates = rates + z;
    float* terms_rates = rates + 2 * z + rows;
    const std::size_t terms = call_.net.terms() * rows;
    std::fill_n(terms_rates, terms, 0.f);
    call_.net.pullback(time,
                       {tape_.tile_noise(tile), lambda, quadrature_bars,
                        call_.regularisers() > 0 ? quadrature_bars + rows : nullptr, lambda_rates,
                        terms > 0 ? terms_rates : nullptr},
                       activations, target.slot);
    if (terms > 0) call_.net.pull_back_products(std::array{&activations}, terms_rates);
    for (std::size_t i = 0; i < z; ++i) lambda_rates[i] /= -target.scale;
    for (std::size_t i = 0; i < terms; ++i) terms_rates[i] /= -target.scale;
  }

  void begin_step(std::size_t, const float*) override {}
  void reach_stop(std::size_t, std::size_t, const float*) override {}
  void attempt(const Step& step) override { gradients_.attempt(step); }
  void accept(const Step& step) override { gradients_.accept(step); }
  void reject() override { gradients_.reject(); }
  double shared_rate_norm() override { return gradients_.rate_norm(); }
  double shared_change_norm() override { return gradients_.change_norm(); }
  double shared_error_norm(double h) override { return gradients_.error_norm(h); }

  /// λᵀf − Δlogp̄ div f ± r̄ᵀρ over the tile's rows: what an end time moved by one adds to the
  /// objective.
  double power(int worker, std::size_t tile, const TimeSlot& time, const float* state) const {
    auto& memory = call_.workspace.worker(worker);
    const std::size_t z = call_.z_size(), rows = call_.tiles.rows;
    memory.rates.resize(z + quadratures_ * rows);
    float* rates = memory.rates.data();
    call_.net.evaluate(
        time,
        {state, tape_.tile_noise(tile), rates, rates + z,
         call_.regularisers() > 0 ? rates + z + rows : nullptr, tape_.tile_terms(tile)},
        call_.workspace.activations(memory, 0), false);
    double sum = 0;
    const auto add = [&](const float* bars, const float* values, std::size_t channels) {
      for (std::size_t channel = 0; channel < channels; ++channel)
        for (std::size_t row = 0; row < call_.tiles.rows_in(tile); ++row)
          sum += double(bars[channel * rows + row]) * values[channel * rows + row];
    };
    add(state + z, rates, call_.dimension);
    add(tile_bars(tile), rates + z, quadratures_);
    return sum;
  }

 private:
  const float* tile_bars(std::size_t tile) const {
    return bars_.data() + tile * quadratures_ * call_.tiles.rows;
  }

  const BlockCall& call_;
  const SolveTape& tape_;
  AdjointGradients& gradients_;
  const std::size_t quadratures_;
  AlignedFloats bars_;  // [tile][−Δlogp̄, ±r̄][rows]
};

// What r̄, gathered over the solve, says of the context's weights and of the context.
void pull_terms(const BlockCall& call, const JointSolve& solve, const TileSlots& slots,
                const BlockRows<float>& rows, std::span<float> gradients) {
  const std::size_t size = call.net.terms() * call.tiles.rows;
  if (size == 0) return;
  AlignedFloats terms_bars(call.tiles.count() * size);
  for (std::size_t tile = 0; tile < call.tiles.count(); ++tile)
    std::copy_n(solve.state(tile) + 2 * call.z_size() + call.tiles.rows, size,
                terms_bars.data() + tile * size);
  const std::vector<GradientSlot*> sums =
      call.workspace.clear_slots(0, gradients.empty() ? 0 : slots.count());
  pull_context(call.net, call.team, call.tiles, slots, rows.context, terms_bars, sums,
               rows.context_bar);
  add_slots(call.net, call.team, sums, gradients);
}

}  // namespace

std::vector<double> pull_adjoint(const BlockCall& call, const SolveTape& tape,
                                 std::span<const ParameterRange> ranges,
                                 const BlockRows<float>& rows, std::span<float> gradients,
                                 SolveStatistics& statistics) {
  const Tiles& tiles = call.tiles;
  const SolverOptions& solver = call.plan.solver;
  Workspace& workspace = call.workspace;
  AdjointGradients sums(call, call.plan.gradient.norm, ranges, gradients.size());
  AdjointSystem system(call, tape, rows, sums);

  workspace.states.resize(tiles.count(), system.channels(), tiles.rows);
  workspace.steps.resize(std::max<std::size_t>(
      workspace.steps.size(), reads_stages(solver, {}) ? tiles.count() : call.team.size()));
  const std::size_t end_size = call.z_size() + tiles.rows;
  for (std::size_t tile = 0; tile < tiles.count(); ++tile) {
    float* state = workspace.states.state(tile, 0);
    const float* end = tape.end.data() + tile * end_size;
    std::copy_n(end, call.z_size(), state);
    load_tile(tiles, tile, rows.z, call.dimension, state + call.z_size());
    std::copy_n(end + call.z_size(), tiles.rows, state + 2 * call.z_size());
    std::fill_n(state + 2 * call.z_size() + tiles.rows, call.net.terms() * tiles.rows, 0.f);
  }

  const TileSlots norm_slots(tiles, call.plan.share, kMostSlots);
  const TileGroup group{tiles,
                        0,
                        tiles.count(),
                        [&](const Job& job) { sums.slots().for_each_tile(call.team, job); },
                        &norm_slots,
                        call.plan.shared_sums(),
                        call.time_setters(),
                        reads_stages(solver, {})};
  JointSolve solve(solver, call.plan.stop, system, group, workspace.times, workspace.states,
                   workspace.steps);

  // The end state of a forward solve moves with T by its rates there, the start of a reverse one by
  // the negative.
  const auto end_time_bars = [&] {
    if (gradients.empty()) return std::vector<double>();
    workspace.times.set(call.end_time, 0, 0, 1);
    std::vector<double> powers(tiles.count());
    call.team.run(tiles.count(), [&](int worker, std::size_t tile) {
      const double power = system.power(worker, tile, workspace.times.of(0), solve.state(tile));
      powers[tile] = call.reverse ? -power : power;
    });
    statistics.evaluations += 1;
    return sums.slots().sums(powers);
  };
  std::vector<double> bars;
  if (!call.reverse) bars = end_time_bars();
  solve.run(call.t1(), call.t0(), {});
  if (call.reverse) bars = end_time_bars();

  statistics.add(solve.statistics());
  for (std::size_t tile = 0; tile < tiles.count(); ++tile)
    store_tile(tiles, tile, solve.state(tile) + call.z_size(), call.dimension, rows.z);
  if (!gradients.empty()) sums.add_to(gradients);
  pull_terms(call, solve, sums.slots(), rows, gradients);
  return bars;
}

}  // namespace ffjord::cpu
