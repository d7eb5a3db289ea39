#include "cpu/row_pullback.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "core/errors.h"
#include "cpu/context_tiles.h"
#include "cpu/row_times.h"
#include "cpu/step_pullback.h"

namespace ffjord::cpu {
namespace {

/// Rows by falling number of steps; a tile is a run of them.
std::vector<std::size_t> by_steps(const RowSteps& taken) {
  std::vector<std::size_t> order(taken.first.size() - 1);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return taken.count(a) > taken.count(b); });
  return order;
}

/// One worker's memory for a tile of rows from anywhere in the batch.
class RowTile {
 public:
  RowTile(const BlockCall& call, const SolveTape& tape, const StepPullback& pullback)
      : call_(call),
        taken_(tape.rows),
        stop_(tape.plan.stop),
        pullback_(pullback),
        times_(call.net, tape.plan.trace, *tape.plan.solver.tableau),
        channels_(call.dimension + 1 + call.regularisers()),
        noise_channels_(tape.rows.eps.size() / call.tiles.batch),
        state_(call.z_size()),
        bar_(channels_ * call.tiles.rows),
        noise_(noise_channels_ * call.tiles.rows),
        all_terms_(tape.terms),
        terms_count_(call.net.terms()),
        terms_(terms_count_ * call.tiles.rows),
        terms_bar_(terms_.size()) {}

  /// From the cotangents `bars` of what came out to `z_bar` of what went in; returns Σ (h h̄ + t t̄).
  double pull(int worker, std::span<const std::size_t> rows, const BlockRows<float>& bars,
              std::span<float> z_bar, AlignedFloats& terms_bars, GradientSlot* target) {
    load(rows, bars);
    double sum = 0;
    for (std::size_t left = taken_.count(rows.front()); left-- > 0;) {
      if (stop_.stop_requested()) throw Error(ErrorCode::Cancelled, "the pullback was stopped");
      enter_step(rows, left);
      sum += pullback_.pull(worker,
                            {{or_null(noise_), or_null(terms_)},
                             rows.size(),
                             state_.data(),
                             bar_.data(),
                             or_null(terms_bar_),
                             target},
                            times_, 1);
    }
    for (std::size_t place = 0; place < rows.size(); ++place)
      for (std::size_t i = 0; i < call_.dimension; ++i)
        z_bar[rows[place] * call_.dimension + i] = bar_[i * call_.tiles.rows + place];
    for (std::size_t place = 0; place < rows.size(); ++place)
      for (std::size_t i = 0; i < terms_count_; ++i)
        terms_bars[term_of(rows[place], i)] = terms_bar_[i * call_.tiles.rows + place];
    return sum;
  }

 private:
  void load(std::span<const std::size_t> rows, const BlockRows<float>& bars) {
    const std::size_t places = call_.tiles.rows, dimension = call_.dimension;
    const std::size_t noise_size = call_.plan.trace.noise_size(dimension);
    std::fill(bar_.begin(), bar_.end(), 0.f);
    std::fill(state_.begin(), state_.end(), 0.f);
    std::fill(noise_.begin(), noise_.end(), 0.f);
    for (std::size_t place = 0; place < rows.size(); ++place) {
      const std::size_t row = rows[place];
      float* bar = bar_.data() + place;
      for (std::size_t i = 0; i < dimension; ++i) bar[i * places] = bars.z[row * dimension + i];
      bar[dimension * places] = -bars.delta_logp[row];
      for (std::size_t i = 0; i < call_.regularisers(); ++i)
        bar[(dimension + 1 + i) * places] = bars.regularisers[row * call_.regularisers() + i];
      for (std::size_t i = 0; i < noise_channels_; ++i)
        noise_[i * places + place] =
            taken_.eps[(i / noise_size * call_.tiles.batch + row) * noise_size + i % noise_size];
    }
    std::fill(terms_bar_.begin(), terms_bar_.end(), 0.f);
    for (std::size_t place = 0; place < rows.size(); ++place)
      for (std::size_t i = 0; i < terms_count_; ++i)
        terms_[i * places + place] = all_terms_[term_of(rows[place], i)];
    for (std::size_t place = 0; place < places; ++place) times_.set(place, 0, 0);
  }

  static float* or_null(AlignedFloats& values) { return values.empty() ? nullptr : values.data(); }
  // Of a row's term in [tile][P][rows].
  std::size_t term_of(std::size_t row, std::size_t term) const {
    const std::size_t places = call_.tiles.rows;
    return (row / places * terms_count_ + term) * places + row % places;
  }

  // Step number `left` of every row that has one. Others wait with h = 0, under which every
  // cotangent of their stages is zero.
  void enter_step(std::span<const std::size_t> rows, std::size_t left) {
    for (std::size_t place = 0; place < rows.size(); ++place) {
      if (left >= taken_.count(rows[place])) continue;
      const std::size_t at = taken_.first[rows[place]] + left;
      times_.set(place, taken_.steps[at].t, taken_.steps[at].h);
      for (std::size_t i = 0; i < call_.dimension; ++i)
        state_[i * call_.tiles.rows + place] = taken_.z[at * call_.dimension + i];
    }
    times_.changed();
  }

  const BlockCall& call_;
  const RowSteps& taken_;
  const std::stop_token stop_;
  const StepPullback& pullback_;
  RowTimes times_;
  const std::size_t channels_, noise_channels_;
  AlignedFloats state_, bar_, noise_;  // [channel][places]
  const AlignedFloats& all_terms_;     // of the context, [tile][P][rows]
  const std::size_t terms_count_;      // P
  AlignedFloats terms_, terms_bar_;    // [P][places]
};

}  // namespace

double pull_rows(const BlockCall& call, const SolveTape& tape, std::size_t weights,
                 const BlockRows<float>& rows, std::span<float> gradients,
                 SolveStatistics& statistics) {
  const Tiles& tiles = call.tiles;
  const StepPullback pullback(call, *tape.plan.solver.tableau);
  const std::vector<std::size_t> order = by_steps(tape.rows);
  const bool with_gradients = !gradients.empty();
  const std::size_t slots = with_gradients ? slot_count(weights, 1, tiles.count()) : tiles.count();
  const std::vector<GradientSlot*> sums = call.workspace.clear_slots(0, with_gradients ? slots : 0);
  std::vector<double> time_sums(tiles.count());
  std::vector<float> z_bar(rows.z.size());
  AlignedFloats terms_bars(tape.terms.size());
  std::vector<std::unique_ptr<RowTile>> memory(call.team.size());
  for_each_by_slot(call.team, tiles.count(), slots, [&](int worker, std::size_t tile) {
    if (!memory[worker]) memory[worker] = std::make_unique<RowTile>(call, tape, pullback);
    time_sums[tile] = memory[worker]->pull(
        worker, std::span(order).subspan(tiles.first_row(tile), tiles.rows_in(tile)), rows, z_bar,
        terms_bars, with_gradients ? sums[tile % slots] : nullptr);
  });
  std::copy(z_bar.begin(), z_bar.end(), rows.z.begin());
  pull_context(call.net, call.team, tiles, rows.context, terms_bars, sums, rows.context_bar);
  if (with_gradients) call.net.reduce(sums, 1, gradients);

  SolveStatistics counts;
  for (const Step& step : tape.rows.steps) {
    counts.evaluations += pullback.stages(1);
    counts.record_accepted(std::abs(step.h));
  }
  statistics.add(counts, 1 / static_cast<double>(tiles.batch));
  return std::accumulate(time_sums.begin(), time_sums.end(), 0.0);
}

}  // namespace ffjord::cpu
