#include "cpu/step_pullback.h"

#include <algorithm>
#include <array>
#include <optional>

namespace ffjord::cpu {

double StepPullback::pull(int worker, const Tile& tile, StepTimes& times, double theta) const {
  auto& memory = call_.workspace.worker(worker);
  memory.rates.resize(tableau_.stages * size_);
  memory.bars.resize((tableau_.stages + 1) * size_);
  memory.row_sums.resize(call_.tiles.rows);
  const int count = stages(theta);
  const StagePointers k = rates(memory, tile, times, count);

  StagePointers argument_bars{};
  for (int i = 0; i < count; ++i) argument_bars[i] = bars_of(memory, i);
  const StageWeights weights = step_weights(tableau_, theta);
  float* rate_bar = bars_of(memory, tableau_.stages);
  double* t_bars = times.own() ? memory.row_sums.data() : nullptr;
  std::array<Activations*, kMaxStages> activations;
  std::array<std::optional<BorrowedScratch>, kMaxStages> scratch;
  double sum = 0;
  for (int i = count; i-- > 0;) {
    pull_stage(weights, i, count, times.h(), tile.bar, argument_bars, rate_bar);
    sum += dot(rate_bar, k[i], tile.used);
    if (t_bars) std::fill_n(t_bars, call_.tiles.rows, 0.0);
    const TileCotangents cotangents{tile.constants.noise,      rate_bar,
                                    rate_bar + call_.z_size(), regularisers_of(rate_bar),
                                    bars_of(memory, i),        tile.terms_bar};
    if (const KeptEvaluation* kept = tile.kept_stage(i)) {
      activations[i] = kept->activations.get();
      // What the products below are made of lies in the scratch memory of each stage.
      scratch[i].emplace(call_.net, *activations[i],
                         call_.workspace.activations(memory, tile.terms_bar ? i : 0));
    } else {
      activations[i] = &call_.workspace.activations(memory, i);
    }
    const double t_bar =
        call_.net.pullback(times.of(i), cotangents, *activations[i], tile.target, t_bars);
    if (!tile.terms_bar) scratch[i].reset();
    if (!t_bars) sum += times.time(i, 0) * t_bar;
    for (std::size_t row = 0; t_bars && row < tile.used; ++row)
      sum += times.time(i, row) * t_bars[row];
  }
  if (tile.terms_bar)
    call_.net.pull_back_products({activations.data(), std::size_t(count)}, tile.terms_bar);
  StageWeights ones;
  ones.fill(1);
  combine(tile.bar, tile.bar, 1, ones, argument_bars, count, 0, call_.z_size());
  return sum;
}

// The stages' rates, and the activations of those that the solve did not keep.
StagePointers StepPullback::rates(Workspace::Worker& memory, const Tile& tile, StepTimes& times,
                                  int count) const {
  StagePointers k{};
  float* point = bars_of(memory, tableau_.stages);
  for (int i = 0; i < count; ++i) {
    if (const KeptEvaluation* kept = tile.kept_stage(i)) {
      k[i] = kept->rates.data();
      continue;
    }
    float* rates = rates_of(memory, i);
    if (i > 0)
      combine_rows(point, tile.state, times.h(), call_.tiles.rows, tableau_.a[i], k, i, 0,
                   call_.z_size());
    call_.net.evaluate(times.of(i),
                       flow_arrays(call_, tile.constants, i > 0 ? point : tile.state, rates),
                       call_.workspace.activations(memory, i), true);
    k[i] = rates;
  }
  return k;
}

// k̄_i from the cotangents of the step's end and of the later stages' inputs.
void StepPullback::pull_stage(const StageWeights& weights, int i, int count, const float* h,
                              const float* bar, const StagePointers& argument_bars,
                              float* rate_bar) const {
  const std::size_t rows = call_.tiles.rows, z_end = call_.z_size(), divergence_end = z_end + rows;
  StageWeights column{};
  for (int j = i + 1; j < count; ++j) column[j] = tableau_.a[j][i];
  combine_rows(rate_bar, nullptr, h, rows, column, argument_bars, count, 0, z_end);
  const double weight = weights[i], regulariser_weight = call_.direction() * weight;
  combine_rows(rate_bar, rate_bar, h, rows, {&weight, 1}, {bar}, 1, 0, z_end);
  combine_rows(rate_bar, nullptr, h, rows, {&weight, 1}, {bar}, 1, z_end, divergence_end);
  combine_rows(rate_bar, nullptr, h, rows, {&regulariser_weight, 1}, {bar}, 1, divergence_end,
               size_);
}

// Over the rows that count.
double StepPullback::dot(const float* a, const float* b, std::size_t used) const {
  const std::size_t rows = call_.tiles.rows;
  double sum = 0;
  for (std::size_t channel = 0; channel < channels_; ++channel)
    for (std::size_t row = 0; row < used; ++row)
      sum += double(a[channel * rows + row]) * b[channel * rows + row];
  return sum;
}

}  // namespace ffjord::cpu
