#include "cpu/row_solve.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/errors.h"
#include "core/step_control.h"
#include "core/step_weights.h"
#include "core/stiffness.h"
#include "cpu/flow_rates.h"
#include "cpu/row_times.h"
#include "cpu/tile_step.h"

namespace ffjord::cpu {
namespace {

constexpr std::size_t kRowsNamed = 16;  // of those that made a solve fail

/// Accepted steps in the order in which one crew made them.
struct StepLog {
  std::vector<std::size_t> rows;
  std::vector<Step> steps;
  std::vector<float> z;  // (steps, D)
};

/// What all crews of a solve share. A row belongs to one crew, so none waits for another.
struct Batch {
  const BlockCall& call;
  const BlockRows<float>& rows;
  std::span<const float> eps;
  const AlignedFloats& terms;  // of the context, [tile][P][rows]
  const BlockTrajectory<float>* trajectory;
  bool logs_steps;
  std::atomic<std::size_t> next_tile{0};         // of rows that nobody has taken yet
  std::vector<float> ends = {};                  // (B, channels)
  std::vector<SolveStatistics> statistics = {};  // (B)

  std::span<const double> stops() const {
    return trajectory ? trajectory->times : std::span<const double>();
  }
};

/// result = chosen ? from : result, by row.
void replace_rows(float* result, const float* from, const float* chosen, std::size_t channels,
                  std::size_t rows) {
  for (std::size_t channel = 0; channel < channels; ++channel, result += rows, from += rows)
    for (std::size_t row = 0; row < rows; ++row)
      result[row] = chosen[row] != 0 ? from[row] : result[row];
}

/// Column `from_row` of `from` → column `row` of `to`.
void copy_row(float* to, std::size_t row, const float* from, std::size_t from_row,
              std::size_t channels, std::size_t rows) {
  for (std::size_t channel = 0; channel < channels; ++channel)
    to[channel * rows + row] = from[channel * rows + from_row];
}

/// One worker and a tile of places, each with a row of its own.
class Crew final : public TileSystem {
 public:
  Crew(Batch& batch, int worker)
      : batch_(batch),
        call_(batch.call),
        options_(call_.plan.solver),
        tableau_(*options_.tableau),
        channels_(flow_channels(call_)),
        places_(call_.tiles.rows),
        worker_(worker),
        stepper_(tableau_, channels_, places_, {options_.rtol, options_.atol}),
        times_(call_.net, call_.plan.trace, tableau_),
        noise_channels_(batch.eps.size() / call_.tiles.batch),
        terms_(call_.net.terms()),
        holders_(places_) {
    const std::size_t size = channels_.count * places_;
    for (AlignedFloats* tile : {&start_, &end_, &first_, &last_, &ready_start_, &ready_first_})
      tile->resize(size);
    for (AlignedFloats* rows : {&row_errors_, &accepted_, &trial_sizes_, &ready_norms_})
      rows->resize(places_);
    for (AlignedFloats* noise : {&noise_, &ready_noise_}) noise->resize(noise_channels_ * places_);
    place_terms_.resize(terms_ * places_);
    scratch_.resize(channels_, places_, tableau_.stages - 1);
  }

  void run() {
    while (fill_places()) {
      if (call_.plan.stop.stop_requested())
        throw Error(ErrorCode::Cancelled, "the solve was stopped");
      attempt();
      judge();
      show_stops();
      go_on();
    }
  }

  const StepLog& log() const { return log_; }
  /// By row.
  const std::map<std::size_t, SolveFailure>& failures() const { return failures_; }

  Channels channels() const override { return channels_; }
  void evaluate(int worker, std::size_t, int, const TimeSlot& time, const float* state,
                float* rates) override {
    evaluate_flow(call_, worker, time, constants_now_, state, rates);
  }
  void begin_step(std::size_t, const float*) override {}
  void reach_stop(std::size_t, std::size_t, const float*) override {}
  void accept(const Step&) override {}

 private:
  /// The row in a place.
  struct Holder {
    std::size_t row = 0;
    std::optional<StepControl> control;  // none: the place is free
    StepControl::Attempt step{};
    bool first_known = true;  // k_0
    bool end_known = false;   // f(t + h, y₁) of an accepted step
    std::size_t next_stop = 0;
    double evaluations = 0;
  };
  /// A row that waits for a place, its k_0 known.
  struct Ready {
    std::size_t row;
    double first_step;
  };

  TileStep view() {
    return {start_.data(), end_.data(), first_.data(), last_.data(), row_errors_.data()};
  }
  static const float* or_null(const AlignedFloats& values) {
    return values.empty() ? nullptr : values.data();
  }
  bool accepted(std::size_t place) const { return accepted_[place] != 0; }

  void fail(std::size_t row, const SolveFailure& failure) { failures_.emplace(row, failure); }

  // Returns whether any place is taken.
  bool fill_places() {
    bool taken = false;
    for (std::size_t place = 0; place < places_; ++place) {
      Holder& holder = holders_[place];
      if (!holder.control && has_ready()) take(place, holder);
      taken = taken || holder.control;
    }
    return taken;
  }

  void take(std::size_t place, Holder& holder) {
    const Ready& ready = ready_[next_ready_++];
    const std::size_t column = ready.row % places_;
    copy_row(start_.data(), place, ready_start_.data(), column, channels_.count, places_);
    copy_row(first_.data(), place, ready_first_.data(), column, channels_.count, places_);
    copy_row(noise_.data(), place, ready_noise_.data(), column, noise_channels_, places_);
    copy_row(place_terms_.data(), place, ready_terms_, column, terms_, places_);
    holder.row = ready.row;
    holder.control.emplace(options_, call_.t0(), call_.t1(), ready.first_step);
    holder.first_known = true;
    holder.next_stop = 0;
    holder.evaluations = 2;
    while (holder.next_stop < batch_.stops().size() &&
           batch_.stops()[holder.next_stop] == call_.t0())
      store_stop(holder, [&](std::size_t channel) { return start_[channel * places_ + place]; });
  }

  bool has_ready() {
    while (next_ready_ == ready_.size())
      if (!make_ready()) return false;
    return true;
  }

  // Takes the next tile of rows from the batch and sizes their first steps (Hairer's rule).
  // Returns false where none is left.
  bool make_ready() {
    const Tiles& tiles = call_.tiles;
    const std::size_t tile = batch_.next_tile++;
    if (tile >= tiles.count()) return false;
    ready_.clear();
    next_ready_ = 0;
    load_ready(tile);

    const std::size_t used = tiles.rows_in(tile);
    float* const start = ready_start_.data();
    float* const trial = scratch_.point.data();
    float* const change = scratch_.error.data();
    ready_terms_ = batch_.terms.data() + tile * terms_ * places_;
    constants_now_ = {or_null(ready_noise_), terms_ > 0 ? ready_terms_ : nullptr};
    for (std::size_t place = 0; place < places_; ++place) times_.set(place, call_.t0(), 0);
    times_.changed();
    evaluate(worker_, tile, 0, times_.of(0), start, ready_first_.data());
    const auto norms = [&](const float* values, AlignedFloats& result) {
      stepper_.scaled_squares(values, start, start, used, scratch_, result.data());
    };
    norms(start, row_errors_);
    norms(ready_first_.data(), ready_norms_);
    const double sign = call_.reverse ? -1 : 1;
    for (std::size_t column = 0; column < places_; ++column) {
      const double h0 =
          sign * trial_step(std::sqrt(row_errors_[column]), std::sqrt(ready_norms_[column]));
      trial_sizes_[column] = static_cast<float>(h0);
      times_.set(column, call_.t0() + h0, 0);
    }
    times_.changed();
    const double one = 1;
    combine_rows(trial, start, trial_sizes_.data(), places_, {&one, 1}, {ready_first_.data()}, 1, 0,
                 channels_.inputs * places_);
    evaluate(worker_, tile, kTrialStage, times_.of(0), trial, end_.data());
    combine(change, end_.data(), -1, {&one, 1}, {ready_first_.data()}, 1, 0,
            channels_.count * places_);
    AlignedFloats& start_norms = accepted_;
    start_norms = row_errors_;
    norms(change, row_errors_);
    for (std::size_t column = 0; column < used; ++column) {
      const std::size_t row = tiles.first_row(tile) + column;
      const double d0 = std::sqrt(start_norms[column]), d1 = std::sqrt(ready_norms_[column]);
      if (!std::isfinite(d0) || !std::isfinite(d1)) {
        fail(row, start_not_finite(call_.t0()));
        continue;
      }
      const double h0 = std::abs(trial_sizes_[column]);
      const double d2 = std::sqrt(row_errors_[column]) / h0;
      ready_.push_back({row, first_step(h0, d1, d2, tableau_.order)});
    }
    return true;
  }

  void load_ready(std::size_t tile) {
    const Tiles& tiles = call_.tiles;
    const std::size_t dimension = call_.dimension;
    float* const start = ready_start_.data();
    float* const delta = start + call_.z_size();
    load_tile(tiles, tile, batch_.rows.z, dimension, start);
    load_tile(tiles, tile, batch_.rows.delta_logp, 1, delta);
    for (std::size_t row = 0; row < places_; ++row) delta[row] = -delta[row];
    load_tile(tiles, tile, batch_.rows.regularisers, call_.regularisers(), delta + places_);
    const std::size_t size = call_.plan.trace.noise_size(dimension);
    for (std::size_t k = 0; k * size < noise_channels_; ++k)
      load_tile(tiles, tile, batch_.eps.subspan(k * tiles.batch * size), size,
                ready_noise_.data() + k * size * places_);
  }

  // One attempt of every row; free places idle with h = 0.
  void attempt() {
    bool with_first = false;
    for (std::size_t place = 0; place < places_; ++place) {
      Holder& holder = holders_[place];
      double h = 0;
      if (holder.control) {
        try {
          holder.step = holder.control->attempt();
          h = holder.step.h;
        } catch (const SolveFailure& failure) {
          fail(holder.row, failure);
          holder.control.reset();
        }
      }
      times_.set(place, holder.step.t, h);
      if (!holder.control) continue;
      holder.evaluations += tableau_.stages - (holder.first_known ? 1 : 0);
      with_first = with_first || !holder.first_known;
      holder.first_known = true;
    }
    times_.changed();
    constants_now_ = {or_null(noise_), or_null(place_terms_)};
    stepper_.attempt(*this, worker_, 0, places_, times_, with_first, view(), scratch_);
  }

  void judge() {
    for (std::size_t place = 0; place < places_; ++place) {
      Holder& holder = holders_[place];
      accepted_[place] = 0;
      if (!holder.control) continue;
      try {
        const double ratio = std::sqrt(static_cast<double>(row_errors_[place]));
        if (holder.control->judge(ratio, stiffness_of(place))) accepted_[place] = 1;
        holder.end_known = tableau_.fsal;
      } catch (const SolveFailure& failure) {
        fail(holder.row, failure);
        holder.control.reset();
      }
    }
  }

  double stiffness_of(std::size_t place) const {
    return stiffness(tableau_, holders_[place].step.h, scratch_.rate_changes[place],
                     scratch_.argument_changes[place]);
  }

  double theta(const Holder& holder) const {
    return (batch_.stops()[holder.next_stop] - holder.step.t) / holder.step.h;
  }
  bool passes_stop(const Holder& holder) const {
    return holder.next_stop < batch_.stops().size() && theta(holder) <= 1;
  }

  // Shows the states at stops within accepted steps. Where the method has no stage at the end of a
  // step, f is evaluated there, which is the row's next k_0.
  void show_stops() {
    if (batch_.stops().empty()) return;
    bool asks_for_end = false;
    for (std::size_t place = 0; place < places_; ++place) {
      Holder& holder = holders_[place];
      if (!accepted(place) || holder.end_known || !passes_stop(holder) || theta(holder) == 1)
        continue;
      times_.set(place, holder.step.t + holder.step.h, 0);
      holder.evaluations += 1;
      holder.end_known = asks_for_end = true;
    }
    if (asks_for_end) {
      times_.changed();
      evaluate(worker_, 0, tableau_.end_stage(), times_.of(0), end_.data(), last_.data());
    }
    const StagePointers k = stepper_.stages(view(), scratch_);
    for (std::size_t place = 0; place < places_; ++place) {
      Holder& holder = holders_[place];
      while (accepted(place) && passes_stop(holder)) {
        const bool at_end = theta(holder) == 1;
        const StageWeights weights = step_weights(tableau_, theta(holder));
        store_stop(holder, [&](std::size_t channel) {
          const std::size_t at = channel * places_ + place;
          if (at_end) return end_[at];
          double sum = 0;
          for (int i = 0; i <= tableau_.end_stage(); ++i)
            if (weights[i] != 0) sum += weights[i] * k[i][at];
          return static_cast<float>(start_[at] + holder.step.h * sum);
        });
      }
    }
  }

  /// `value(channel)` is the row's state at its next stop.
  template <class Value>
  void store_stop(Holder& holder, Value value) {
    const std::size_t at = holder.next_stop++ * call_.tiles.batch + holder.row;
    for (std::size_t channel = 0; channel < call_.dimension; ++channel)
      batch_.trajectory->z[at * call_.dimension + channel] = value(channel);
    batch_.trajectory->delta_logp[at] = -value(call_.dimension);
  }

  // Rows go on from their accepted steps; those that have arrived leave.
  void go_on() {
    if (batch_.logs_steps) log_steps();
    replace_rows(start_.data(), end_.data(), accepted_.data(), channels_.count, places_);
    replace_rows(first_.data(), last_.data(), accepted_.data(), channels_.count, places_);
    for (std::size_t place = 0; place < places_; ++place) {
      Holder& holder = holders_[place];
      if (!accepted(place)) continue;
      holder.first_known = holder.end_known;
      if (!holder.control->done()) continue;
      SolveStatistics& statistics = batch_.statistics[holder.row];
      statistics = holder.control->statistics();
      statistics.evaluations = holder.evaluations;
      statistics.smallest_step_row = holder.row;
      float* const end = &batch_.ends[holder.row * channels_.count];
      for (std::size_t channel = 0; channel < channels_.count; ++channel)
        end[channel] = start_[channel * places_ + place];
      holder.control.reset();
    }
  }

  void log_steps() {
    for (std::size_t place = 0; place < places_; ++place) {
      if (!accepted(place)) continue;
      const Holder& holder = holders_[place];
      log_.rows.push_back(holder.row);
      log_.steps.push_back({holder.step.t, holder.step.h});
      for (std::size_t i = 0; i < call_.dimension; ++i)
        log_.z.push_back(start_[i * places_ + place]);
    }
  }

  Batch& batch_;
  const BlockCall& call_;
  const SolverOptions& options_;
  const Tableau& tableau_;
  const Channels channels_;
  const std::size_t places_;
  const int worker_;
  const TileStepper stepper_;
  RowTimes times_;
  StepScratch scratch_;
  // [channel][places]: y₀, y₁, k_0, f(t + h, y₁), and y₀ and k_0 of rows that wait for a place
  AlignedFloats start_, end_, first_, last_, ready_start_, ready_first_;
  AlignedFloats row_errors_, accepted_, trial_sizes_, ready_norms_;  // [places]
  const std::size_t noise_channels_;                                 // K D
  const std::size_t terms_;                                          // P
  AlignedFloats place_terms_;                                        // [P][places]
  const float* ready_terms_ = nullptr;
  AlignedFloats noise_, ready_noise_;  // [K D][places]
  RowConstants constants_now_;         // of the tile under evaluation
  std::vector<Holder> holders_;
  std::vector<Ready> ready_;
  std::size_t next_ready_ = 0;
  StepLog log_;
  std::map<std::size_t, SolveFailure> failures_;
};

// The failure of the first row, with the names of the others.
void throw_failures(const std::vector<std::unique_ptr<Crew>>& crews) {
  std::map<std::size_t, SolveFailure> failures;
  for (const auto& crew : crews)
    if (crew) failures.insert(crew->failures().begin(), crew->failures().end());
  if (failures.empty()) return;
  SolveFailure failure = failures.begin()->second;
  for (const auto& [row, other] : failures)
    if (failure.rows.size() < kRowsNamed) failure.rows.push_back(row);
  throw failure;
}

// Steps row after row, whatever crew made them.
void gather_steps(const std::vector<std::unique_ptr<Crew>>& crews, std::size_t dimension,
                  std::size_t batch, RowSteps& tape) {
  tape.first.assign(batch + 1, 0);
  for (const auto& crew : crews)
    if (crew)
      for (std::size_t row : crew->log().rows) ++tape.first[row + 1];
  for (std::size_t row = 0; row < batch; ++row) tape.first[row + 1] += tape.first[row];
  tape.steps.resize(tape.first.back());
  tape.z.resize(tape.steps.size() * dimension);
  std::vector<std::size_t> next(tape.first.begin(), tape.first.end() - 1);
  for (const auto& crew : crews) {
    if (!crew) continue;
    const StepLog& log = crew->log();
    for (std::size_t i = 0; i < log.rows.size(); ++i) {
      const std::size_t at = next[log.rows[i]]++;
      tape.steps[at] = log.steps[i];
      std::copy_n(&log.z[i * dimension], dimension, &tape.z[at * dimension]);
    }
  }
}

}  // namespace

void solve_rows(const BlockCall& call, const BlockRows<float>& rows, std::span<const float> eps,
                const AlignedFloats& terms, RowSteps* tape,
                const BlockTrajectory<float>* trajectory, SolveStatistics& statistics) {
  const std::size_t batch_size = rows.count, channels = flow_channels(call).count;
  Batch batch{call, rows, eps, terms, trajectory, tape != nullptr};
  batch.ends.resize(batch_size * channels);
  batch.statistics.resize(batch_size);
  // One crew a worker, no more than there are tiles.
  std::vector<std::unique_ptr<Crew>> crews(
      std::min<std::size_t>(call.team.size(), call.tiles.count()));
  call.team.run(crews.size(), [&](int worker, std::size_t crew) {
    crews[crew] = std::make_unique<Crew>(batch, worker);
    crews[crew]->run();
  });
  throw_failures(crews);

  for (const SolveStatistics& one : batch.statistics)
    statistics.add(one, 1 / static_cast<double>(batch_size));
  if (tape) gather_steps(crews, call.dimension, batch_size, *tape);
  for (std::size_t row = 0; row < batch_size; ++row) {
    const float* end = &batch.ends[row * channels];
    std::copy_n(end, call.dimension, &rows.z[row * call.dimension]);
    rows.delta_logp[row] = -end[call.dimension];
    std::copy_n(end + call.dimension + 1, call.regularisers(),
                rows.regularisers.data() + row * call.regularisers());
  }
}

}  // namespace ffjord::cpu
