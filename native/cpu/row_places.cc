#include "cpu/row_places.h"

#include <cmath>

#include "core/errors.h"
#include "core/step_weights.h"
#include "core/stiffness.h"

namespace ffjord::cpu {
namespace {

/// result = chosen ? from : result, by row.
void replace_rows(float* result, const float* from, const float* chosen, std::size_t channels,
                  std::size_t rows) {
  for (std::size_t channel = 0; channel < channels; ++channel, result += rows, from += rows)
    for (std::size_t row = 0; row < rows; ++row)
      result[row] = chosen[row] != 0 ? from[row] : result[row];
}

}  // namespace

RowPlaces::RowPlaces(RowBatch& batch, int worker, bool logs_steps)
    : batch_(batch),
      call_(batch.call),
      options_(call_.plan.solver),
      tableau_(*options_.tableau),
      channels_(flow_channels(call_)),
      places_(call_.tiles.rows),
      worker_(worker),
      logs_steps_(logs_steps),
      stepper_(tableau_, channels_, places_, {options_.rtol, options_.atol}),
      times_(call_.net, call_.plan.trace, tableau_),
      tile_(batch),
      end_(tile_.start.size()),
      last_(tile_.start.size()),
      row_errors_(places_),
      accepted_(places_),
      holders_(places_),
      queue_(batch, worker, stepper_, times_, scratch_, failures_) {
  scratch_.resize(channels_, places_, tableau_.stages - 1);
}

void RowPlaces::run() {
  while (fill()) {
    if (call_.plan.stop.stop_requested())
      throw Error(ErrorCode::Cancelled, "the solve was stopped");
    attempt();
    judge();
    show_stops();
    go_on();
  }
}

void RowPlaces::fail(Holder& holder, const SolveFailure& failure) {
  failures_.emplace(holder.row, failure);
  holder.control.reset();
}

bool RowPlaces::fill() {
  bool taken = false;
  for (std::size_t place = 0; place < places_; ++place) {
    if (!holders_[place].control && queue_.has_row()) take(place);
    taken = taken || holders_[place].control;
  }
  return taken;
}

void RowPlaces::take(std::size_t place) {
  const RowQueue::Row next = queue_.take(tile_, place);
  Holder& holder = holders_[place];
  holder.row = next.row;
  holder.control.emplace(options_, call_.t0(), call_.t1(), next.first_step);
  holder.first_known = true;
  holder.next_stop = 0;
  holder.evaluations = 2;
  while (holder.next_stop < batch_.stops().size() && batch_.stops()[holder.next_stop] == call_.t0())
    store_stop(holder, [&](std::size_t channel) { return tile_.start[channel * places_ + place]; });
}

void RowPlaces::attempt() {
  bool with_first = false;
  for (std::size_t place = 0; place < places_; ++place) {
    Holder& holder = holders_[place];
    double h = 0;
    if (holder.control) {
      try {
        holder.step = holder.control->attempt();
        h = holder.step.h;
      } catch (const SolveFailure& failure) {
        fail(holder, failure);
      }
    }
    times_.set(place, holder.step.t, h);
    if (!holder.control) continue;
    holder.evaluations += tableau_.stages - (holder.first_known ? 1 : 0);
    with_first = with_first || !holder.first_known;
    holder.first_known = true;
  }
  times_.changed();
  stepper_.attempt(*this, worker_, 0, places_, times_, with_first, view(), scratch_);
}

void RowPlaces::judge() {
  for (std::size_t place = 0; place < places_; ++place) {
    Holder& holder = holders_[place];
    accepted_[place] = 0;
    if (!holder.control) continue;
    try {
      const double ratio = std::sqrt(static_cast<double>(row_errors_[place]));
      if (holder.control->judge(ratio, stiffness_of(place))) accepted_[place] = 1;
      holder.end_known = tableau_.fsal;
    } catch (const SolveFailure& failure) {
      fail(holder, failure);
    }
  }
}

double RowPlaces::stiffness_of(std::size_t place) const {
  return stiffness(tableau_, holders_[place].step.h, scratch_.rate_changes[place],
                   scratch_.argument_changes[place]);
}

double RowPlaces::theta(const Holder& holder) const {
  return (batch_.stops()[holder.next_stop] - holder.step.t) / holder.step.h;
}

bool RowPlaces::passes_stop(const Holder& holder) const {
  return holder.next_stop < batch_.stops().size() && theta(holder) <= 1;
}

void RowPlaces::show_stops() {
  if (batch_.stops().empty()) return;
  evaluate_ends();
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
        return static_cast<float>(tile_.start[at] + holder.step.h * sum);
      });
    }
  }
}

void RowPlaces::evaluate_ends() {
  bool wanted = false;
  for (std::size_t place = 0; place < places_; ++place) {
    Holder& holder = holders_[place];
    if (!accepted(place) || holder.end_known || !passes_stop(holder) || theta(holder) == 1)
      continue;
    times_.set(place, holder.step.t + holder.step.h, 0);
    holder.evaluations += 1;
    holder.end_known = wanted = true;
  }
  if (!wanted) return;
  times_.changed();
  evaluate(worker_, 0, tableau_.end_stage(), times_.of(0), end_.data(), last_.data());
}

template <class Value>
void RowPlaces::store_stop(Holder& holder, Value value) {
  const std::size_t at = holder.next_stop++ * call_.tiles.batch + holder.row;
  for (std::size_t channel = 0; channel < call_.dimension; ++channel)
    batch_.trajectory->z[at * call_.dimension + channel] = value(channel);
  batch_.trajectory->delta_logp[at] = -value(call_.dimension);
}

void RowPlaces::go_on() {
  if (logs_steps_) log_steps();
  replace_rows(tile_.start.data(), end_.data(), accepted_.data(), channels_.count, places_);
  replace_rows(tile_.first.data(), last_.data(), accepted_.data(), channels_.count, places_);
  for (std::size_t place = 0; place < places_; ++place) {
    if (!accepted(place)) continue;
    Holder& holder = holders_[place];
    holder.first_known = holder.end_known;
    if (holder.control->done()) leave(place);
  }
}

void RowPlaces::leave(std::size_t place) {
  Holder& holder = holders_[place];
  SolveStatistics& statistics = batch_.statistics[holder.row];
  statistics = holder.control->statistics();
  statistics.evaluations = holder.evaluations;
  statistics.smallest_step_row = holder.row;
  float* const end = &batch_.ends[holder.row * channels_.count];
  for (std::size_t channel = 0; channel < channels_.count; ++channel)
    end[channel] = tile_.start[channel * places_ + place];
  holder.control.reset();
}

void RowPlaces::log_steps() {
  for (std::size_t place = 0; place < places_; ++place) {
    if (!accepted(place)) continue;
    const Holder& holder = holders_[place];
    log_.rows.push_back(holder.row);
    log_.steps.push_back({holder.step.t, holder.step.h});
    for (std::size_t i = 0; i < call_.dimension; ++i)
      log_.z.push_back(tile_.start[i * places_ + place]);
  }
}

}  // namespace ffjord::cpu
