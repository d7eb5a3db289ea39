#include "cpu/checkpoint.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "cpu/context_tiles.h"
#include "cpu/row_pullback.h"
#include "cpu/step_pullback.h"
#include "cpu/tile_slots.h"

namespace ffjord::cpu {
namespace {

/// Steps whose weight gradients are summed before they join the others.
constexpr std::size_t kStepsOfOneSum = 32;

void check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "the pullback was stopped");
}

}  // namespace

std::vector<double> pull_checkpoints(const BlockCall& call, const SolveTape& tape,
                                     std::size_t weights, const BlockRows<float>& rows,
                                     std::span<float> gradients, SolveStatistics& statistics) {
  if (!tape.rows.first.empty()) return pull_rows(call, tape, weights, rows, gradients, statistics);
  const Tiles& tiles = call.tiles;
  const Tableau& tableau = *tape.plan.solver.tableau;
  const StepPullback pullback(call, tableau);
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
  const TileSlots slots(tiles, call.plan.share,
                        with_gradients ? most_slots(weights, 1) : tiles.count());
  const std::vector<GradientSlot*> sums =
      workspace.clear_slots(0, with_gradients ? slots.count() : 0);
  std::vector<GradientSlot*> totals;  // of long solves: what `sums` held before
  std::vector<double> time_sums(tiles.count());
  AlignedFloats& terms_bars = workspace.terms_bars;
  terms_bars.assign(tape.terms.size(), 0.f);
  const std::size_t terms_size = terms_bars.size() / tiles.count();
  const auto pull = [&](int worker, std::size_t tile, const Step& step, std::size_t index,
                        StageTimes& times) {
    time_sums[tile] +=
        pullback.pull(worker,
                      {{tape.tile_noise(tile), tape.tile_terms(tile)},
                       tiles.rows_in(tile),
                       tape.states[tile].data() + index * call.z_size(),
                       bars.data() + tile * size,
                       terms_bars.empty() ? nullptr : terms_bars.data() + tile * terms_size,
                       with_gradients ? sums[slots.of(tile)] : nullptr,
                       tape.kept_stages(tile, index)},
                      times, step.theta);
  };

  const auto add_to_totals = [&] {
    call.team.run(totals.size(),
                  [&](int, std::size_t slot) { call.net.move_sums(*sums[slot], *totals[slot]); });
  };

  if (stepping(tape.plan.solver) == Control::Tile) {
    slots.for_each_tile(call.team, [&](int worker, std::size_t tile) {
      StageTimes& times = workspace.worker(worker).times;
      times.use(tableau);
      for (std::size_t i = tape.steps[tile].size(); i-- > 0;) {
        check_stop(tape.plan.stop);
        const Step& step = tape.steps[tile][i];
        times.set(step.t, step.h, 0, pullback.stages(step.theta));
        pull(worker, tile, step, i, times);
      }
    });
  } else {
    workspace.times.use(tableau);
    for (std::size_t i = tape.steps[0].size(); i-- > 0;) {
      check_stop(tape.plan.stop);
      const Step& step = tape.steps[0][i];
      workspace.times.set(step.t, step.h, 0, pullback.stages(step.theta), call.time_setters());
      slots.for_each_tile(call.team, [&](int worker, std::size_t tile) {
        pull(worker, tile, step, i, workspace.times);
      });
      // Sums of float32 drift with the number of terms, so long solves add up in parts.
      if (with_gradients && i > 0 && i % kStepsOfOneSum == 0) {
        if (totals.empty()) totals = workspace.clear_slots(1, slots.count());
        add_to_totals();
      }
    }
  }

  for (std::size_t group = 0; group < tape.steps.size(); ++group) {
    SolveStatistics counts;
    for (const Step& step : tape.steps[group]) {
      counts.evaluations += pullback.stages(step.theta);
      counts.record_accepted(std::abs(step.h));
    }
    const std::size_t used = tape.steps.size() > 1 ? tiles.rows_in(group) : tiles.batch;
    statistics.add(counts, static_cast<double>(used) / static_cast<double>(tiles.batch));
  }
  pull_context(call.net, call.team, tiles, slots, rows.context, terms_bars, sums, rows.context_bar);
  add_to_totals();
  add_slots(call.net, call.team, totals.empty() ? sums : totals, gradients);
  for (std::size_t tile = 0; tile < tiles.count(); ++tile)
    store_tile(tiles, tile, bars.data() + tile * size, call.dimension, rows.z);
  return slots.sums(time_sums);
}

}  // namespace ffjord::cpu
