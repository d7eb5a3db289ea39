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
#include "cpu/tile_slots.h"

namespace ffjord::cpu {
namespace {

/// A slot is to have work for so many tiles: places that the last rows leave idle cost less then.
constexpr std::size_t kLeastTiles = 2;

/// Rows `range` by falling number of steps.
std::vector<std::size_t> by_steps(const RowSteps& taken, const RowRange& range) {
  std::vector<std::size_t> order(range.end - range.first);
  std::iota(order.begin(), order.end(), range.first);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return taken.count(a) > taken.count(b); });
  return order;
}

/// What a slot's rows come to: cotangents of their z and of their context's terms.
struct RowBars {
  std::vector<float> z;  // (B, D)
  AlignedFloats terms;   // [tile][P][rows]
};

/// One worker's tile, whose places take the rows of a slot one after the other.
class PullbackPlaces {
 public:
  PullbackPlaces(const BlockCall& call, const SolveTape& tape, const StepPullback& pullback,
                 const BlockRows<float>& bars, RowBars& results)
      : call_(call),
        taken_(tape.rows),
        stop_(tape.plan.stop),
        pullback_(pullback),
        bars_(bars),
        results_(results),
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

  /// Returns Σ (h h̄ + t t̄).
  double pull(int worker, const RowRange& range, GradientSlot* target) {
    const std::vector<std::size_t> order = by_steps(taken_, range);
    const std::size_t used = std::min(order.size(), call_.tiles.rows);
    clear();
    std::size_t next = 0;
    double sum = 0;
    while (fill(order, used, next)) {
      if (stop_.stop_requested()) throw Error(ErrorCode::Cancelled, "the pullback was stopped");
      sum += pullback_.pull(worker,
                            {{or_null(noise_), or_null(terms_)},
                             used,
                             state_.data(),
                             bar_.data(),
                             or_null(terms_bar_),
                             target},
                            times_, 1);
      for (std::size_t place = 0; place < used; ++place)
        if (places_[place].left > 0 && --places_[place].left == 0) leave(place);
    }
    return sum;
  }

 private:
  /// A row, and the number of its steps that are not yet pulled back; 0: the place is free.
  struct Place {
    std::size_t row = 0, left = 0;
  };

  void clear() {
    places_.assign(call_.tiles.rows, {});
    for (auto* array : {&state_, &bar_, &noise_, &terms_, &terms_bar_})
      std::fill(array->begin(), array->end(), 0.f);
    for (std::size_t place = 0; place < call_.tiles.rows; ++place) times_.set(place, 0, 0);
  }

  /// Gives free places rows, and every place its row's next step; false where none is left. Places
  /// without a row wait with h = 0, under which every cotangent of their stages is zero.
  bool fill(std::span<const std::size_t> order, std::size_t used, std::size_t& next) {
    bool any = false;
    for (std::size_t place = 0; place < used; ++place) {
      if (places_[place].left == 0 && next < order.size()) enter(place, order[next++]);
      if (places_[place].left == 0) continue;
      any = true;
      const auto [row, left] = places_[place];
      const std::size_t at = taken_.first[row] + left - 1;
      times_.set(place, taken_.steps[at].t, taken_.steps[at].h);
      for (std::size_t i = 0; i < call_.dimension; ++i)
        state_[i * call_.tiles.rows + place] = taken_.z[at * call_.dimension + i];
    }
    times_.changed();
    return any;
  }

  void enter(std::size_t place, std::size_t row) {
    const std::size_t places = call_.tiles.rows, dimension = call_.dimension;
    const std::size_t noise_size = call_.plan.trace.noise_size(dimension);
    places_[place] = {row, taken_.count(row)};
    float* bar = bar_.data() + place;
    for (std::size_t i = 0; i < dimension; ++i) bar[i * places] = bars_.z[row * dimension + i];
    bar[dimension * places] = -bars_.delta_logp[row];
    for (std::size_t i = 0; i < call_.regularisers(); ++i)
      bar[(dimension + 1 + i) * places] = bars_.regularisers[row * call_.regularisers() + i];
    for (std::size_t i = 0; i < noise_channels_; ++i)
      noise_[i * places + place] =
          taken_.eps[(i / noise_size * call_.tiles.batch + row) * noise_size + i % noise_size];
    for (std::size_t i = 0; i < terms_count_; ++i) {
      terms_[i * places + place] = all_terms_[term_of(row, i)];
      terms_bar_[i * places + place] = 0;
    }
  }

  void leave(std::size_t place) {
    const std::size_t places = call_.tiles.rows, row = places_[place].row;
    times_.set(place, 0, 0);
    for (std::size_t i = 0; i < call_.dimension; ++i)
      results_.z[row * call_.dimension + i] = bar_[i * places + place];
    for (std::size_t i = 0; i < terms_count_; ++i)
      results_.terms[term_of(row, i)] = terms_bar_[i * places + place];
  }

  static float* or_null(AlignedFloats& values) { return values.empty() ? nullptr : values.data(); }
  /// Where a row's term is in [tile][P][rows].
  std::size_t term_of(std::size_t row, std::size_t term) const {
    const std::size_t places = call_.tiles.rows;
    return (row / places * terms_count_ + term) * places + row % places;
  }

  const BlockCall& call_;
  const RowSteps& taken_;
  const std::stop_token stop_;
  const StepPullback& pullback_;
  const BlockRows<float>& bars_;  // of what came out of the solve
  RowBars& results_;
  RowTimes times_;
  const std::size_t channels_, noise_channels_;
  std::vector<Place> places_;
  AlignedFloats state_, bar_, noise_;  // [channel][places]
  const AlignedFloats& all_terms_;     // of the context, [tile][P][rows]
  const std::size_t terms_count_;      // P
  AlignedFloats terms_, terms_bar_;    // [P][places]
};

}  // namespace

std::vector<double> pull_rows(const BlockCall& call, const SolveTape& tape, std::size_t weights,
                              const BlockRows<float>& rows, std::span<float> gradients,
                              SolveStatistics& statistics) {
  const Tiles& tiles = call.tiles;
  const StepPullback pullback(call, *tape.plan.solver.tableau);
  const bool with_gradients = !gradients.empty();
  const TileSlots slots(tiles, call.plan.share,
                        with_gradients ? most_slots(weights, 1) : tiles.count(), kLeastTiles);
  const std::vector<GradientSlot*> sums =
      call.workspace.clear_slots(0, with_gradients ? slots.count() : 0);
  std::vector<double> time_sums(slots.count());
  RowBars bars{std::vector<float>(rows.z.size()), AlignedFloats(tape.terms.size())};
  std::vector<std::unique_ptr<PullbackPlaces>> memory(call.team.size());
  call.team.run(slots.count(), [&](int worker, std::size_t slot) {
    if (!memory[worker])
      memory[worker] = std::make_unique<PullbackPlaces>(call, tape, pullback, rows, bars);
    time_sums[slot] =
        memory[worker]->pull(worker, slots.rows(slot), with_gradients ? sums[slot] : nullptr);
  });
  std::copy(bars.z.begin(), bars.z.end(), rows.z.begin());
  pull_context(call.net, call.team, tiles, slots, rows.context, bars.terms, sums, rows.context_bar);
  add_slots(call.net, call.team, sums, gradients);

  SolveStatistics counts;
  for (const Step& step : tape.rows.steps) {
    counts.evaluations += pullback.stages(1);
    counts.record_accepted(std::abs(step.h));
  }
  statistics.add(counts, 1 / static_cast<double>(tiles.batch));
  return time_sums;
}

}  // namespace ffjord::cpu
