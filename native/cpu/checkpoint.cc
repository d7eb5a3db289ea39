#include "cpu/checkpoint.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "core/step_weights.h"
#include "cpu/context_tiles.h"

namespace ffjord::cpu {
namespace {

// A step y₁ = y₀ + h Σ w_i k_i with k_i = F(t + c_i h, Y_i), Y_i = y₀ + h Σ_j a_ij k_j, on one
// tile: k̄_i = h w_i λ + h Σ_(j>i) a_ji Ȳ_j, and λ becomes λ + Σ Ȳ_i.
class StepPullback {
 public:
  StepPullback(const BlockCall& call, const SolveTape& tape)
      : call_(call),
        tape_(tape),
        tableau_(*tape.plan.solver.tableau),
        channels_(call.dimension + 1 + call.regularisers()),
        size_(channels_ * call.tiles.rows) {}

  // An FSAL stage counts only where the interpolant uses it.
  int stages(const Step& step) const {
    return step.theta == 1 ? tableau_.differentiated_stages() : tableau_.stages;
  }

  /// `state` is z before the step; `bar` (channels) the cotangent after it, [channel][row], of
  /// which the channels of z become those before it; `terms_bar` is added to. Returns h h̄ + Σ t t̄.
  double pull(int worker, std::size_t tile, const Step& step, const StageTimes& times,
              const float* state, float* bar, float* terms_bar, GradientSlot* gradients) const {
    auto& memory = call_.workspace.worker(worker);
    memory.rates.resize(tableau_.stages * size_);
    memory.bars.resize((tableau_.stages + 1) * size_);
    const int count = stages(step);
    recompute(memory, tile, step, times, state, count);

    StagePointers argument_bars{};
    for (int i = 0; i < count; ++i) argument_bars[i] = bars_of(memory, i);
    const StageWeights weights = step_weights(tableau_, step.theta);
    float* rate_bar = bars_of(memory, tableau_.stages);
    double sum = 0;
    for (int i = count; i-- > 0;) {
      pull_stage_input(step, weights, i, count, bar, argument_bars, rate_bar);
      sum += dot(rate_bar, rates_of(memory, i), tile);
      const TileCotangents cotangents{
          tape_.tile_noise(tile),
          rate_bar,
          rate_bar + call_.z_size(),
          call_.regularisers() > 0 ? rate_bar + call_.z_size() + call_.tiles.rows : nullptr,
          bars_of(memory, i),
          terms_bar};
      sum += times.time(i, step.t, step.h) *
             call_.net.pullback(times.of(i), cotangents, call_.workspace.activations(memory, i),
                                gradients);
    }
    StageWeights ones;
    ones.fill(1);
    combine(bar, bar, 1, ones, argument_bars, count, 0, call_.z_size());
    return sum;
  }

 private:
  float* rates_of(Workspace::Worker& memory, int stage) const {
    return memory.rates.data() + stage * size_;
  }
  float* bars_of(Workspace::Worker& memory, int stage) const {
    return memory.bars.data() + stage * size_;
  }

  // Stages with their activations kept.
  void recompute(Workspace::Worker& memory, std::size_t tile, const Step& step,
                 const StageTimes& times, const float* state, int count) const {
    StagePointers k{};
    float* point = bars_of(memory, tableau_.stages);
    for (int i = 0; i < count; ++i) {
      float* rates = rates_of(memory, i);
      if (i > 0) combine(point, state, step.h, tableau_.a[i], k, i, 0, call_.z_size());
      call_.net.evaluate(
          times.of(i),
          {i > 0 ? point : state, tape_.tile_noise(tile), rates, rates + call_.z_size(),
           call_.regularisers() > 0 ? rates + call_.z_size() + call_.tiles.rows : nullptr,
           tape_.tile_terms(tile)},
          call_.workspace.activations(memory, i), true);
      k[i] = rates;
    }
  }

  // k̄_i from the cotangents of the step's end and of the later stages' inputs.
  void pull_stage_input(const Step& step, const StageWeights& weights, int i, int count,
                        const float* bar, const StagePointers& argument_bars,
                        float* rate_bar) const {
    StageWeights column{};
    for (int j = i + 1; j < count; ++j) column[j] = tableau_.a[j][i];
    combine(rate_bar, nullptr, step.h, column, argument_bars, count, 0, call_.z_size());
    const double weight = weights[i];
    combine(rate_bar, rate_bar, step.h, {&weight, 1}, {bar}, 1, 0, call_.z_size());
    const std::size_t divergence_end = call_.z_size() + call_.tiles.rows;
    combine(rate_bar, nullptr, step.h, {&weight, 1}, {bar}, 1, call_.z_size(), divergence_end);
    combine(rate_bar, nullptr, call_.direction() * step.h, {&weight, 1}, {bar}, 1, divergence_end,
            size_);
  }

  // Over the tile's rows of the batch.
  double dot(const float* a, const float* b, std::size_t tile) const {
    const std::size_t rows = call_.tiles.rows, used = call_.tiles.rows_in(tile);
    double sum = 0;
    for (std::size_t channel = 0; channel < channels_; ++channel)
      for (std::size_t row = 0; row < used; ++row)
        sum += double(a[channel * rows + row]) * b[channel * rows + row];
    return sum;
  }

  const BlockCall& call_;
  const SolveTape& tape_;
  const Tableau& tableau_;
  const std::size_t channels_, size_;
};

void check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "the pullback was stopped");
}

}  // namespace

double pull_checkpoints(const BlockCall& call, const SolveTape& tape, std::size_t weights,
                        const BlockRows<float>& rows, std::span<float> gradients,
                        SolveStatistics& statistics) {
  const Tiles& tiles = call.tiles;
  const Tableau& tableau = *tape.plan.solver.tableau;
  const StepPullback pullback(call, tape);
  Workspace& workspace = call.workspace;

  // λ of each tile, [z | −Δlogp | r].
  const std::size_t size = (call.dimension + 1 + call.regularisers()) * tiles.rows;
  AlignedFloats bars(tiles.count() * size);
  for (std::size_t tile = 0; tile < tiles.count(); ++tile) {
    float* bar = bars.data() + tile * size;
    load_tile(tiles, tile, rows.z, call.dimension, bar);
    load_tile(tiles, tile, rows.delta_logp, 1, bar + call.z_size());
    for (std::size_t row = 0; row < tiles.rows; ++row)
      bar[call.z_size() + row] = -bar[call.z_size() + row];
    load_tile(tiles, tile, rows.regularisers, call.regularisers(),
              bar + call.z_size() + tiles.rows);
  }

  const bool with_gradients = !gradients.empty();
  const std::size_t slots = with_gradients ? slot_count(weights, 1, tiles.count()) : tiles.count();
  const std::vector<GradientSlot*> sums = workspace.clear_slots(0, with_gradients ? slots : 0);
  std::vector<double> time_sums(tiles.count());
  AlignedFloats terms_bars(tape.terms.size());
  const std::size_t terms_size = terms_bars.size() / tiles.count();
  const auto pull = [&](int worker, std::size_t tile, const Step& step, std::size_t index,
                        const StageTimes& times) {
    time_sums[tile] +=
        pullback.pull(worker, tile, step, times, tape.states[tile].data() + index * call.z_size(),
                      bars.data() + tile * size,
                      terms_bars.empty() ? nullptr : terms_bars.data() + tile * terms_size,
                      with_gradients ? sums[tile % slots] : nullptr);
  };

  if (tape.plan.solver.control == Control::Sample) {
    for_each_by_slot(call.team, tiles.count(), slots, [&](int worker, std::size_t tile) {
      StageTimes& times = workspace.worker(worker).times;
      times.use(tableau);
      for (std::size_t i = tape.steps[tile].size(); i-- > 0;) {
        check_stop(tape.plan.stop);
        const Step& step = tape.steps[tile][i];
        times.set(step.t, step.h, 0, pullback.stages(step));
        pull(worker, tile, step, i, times);
      }
    });
  } else {
    workspace.times.use(tableau);
    for (std::size_t i = tape.steps[0].size(); i-- > 0;) {
      check_stop(tape.plan.stop);
      const Step& step = tape.steps[0][i];
      workspace.times.set(step.t, step.h, 0, pullback.stages(step), call.time_setters());
      for_each_by_slot(call.team, tiles.count(), slots, [&](int worker, std::size_t tile) {
        pull(worker, tile, step, i, workspace.times);
      });
    }
  }

  for (std::size_t group = 0; group < tape.steps.size(); ++group) {
    SolveStatistics counts;
    for (const Step& step : tape.steps[group]) {
      counts.evaluations += pullback.stages(step);
      counts.record_accepted(std::abs(step.h));
    }
    const std::size_t used = tape.steps.size() > 1 ? tiles.rows_in(group) : tiles.batch;
    statistics.add(counts, static_cast<double>(used) / static_cast<double>(tiles.batch));
  }
  pull_context(call.net, call.team, tiles, rows.context, terms_bars, sums, rows.context_bar);
  if (with_gradients) call.net.reduce(sums, 1, gradients);
  double time_sum = 0;
  for (std::size_t tile = 0; tile < tiles.count(); ++tile) {
    store_tile(tiles, tile, bars.data() + tile * size, call.dimension, rows.z);
    time_sum += time_sums[tile];
  }
  return time_sum;
}

}  // namespace ffjord::cpu
