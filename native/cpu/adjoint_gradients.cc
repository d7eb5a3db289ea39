#include "cpu/adjoint_gradients.h"

#include <algorithm>
#include <cmath>

namespace ffjord::cpu {
namespace {

std::size_t total_size(std::span<const ParameterRange> ranges) {
  std::size_t size = 0;
  for (const ParameterRange& range : ranges) size += range.size;
  return size;
}

}  // namespace

AdjointGradients::AdjointGradients(const BlockCall& call, AdjointNorm norm,
                                   std::span<const ParameterRange> ranges, std::size_t gradients)
    : call_(call),
      tableau_(*call.plan.solver.tableau),
      norm_(norm),
      ranges_(ranges),
      slots_(
          call.tiles, call.plan.share,
          most_slots(total_size(ranges),
                     norm == AdjointNorm::Full ? tableau_.stages + 1 : std::size_t{kSeminormSets})),
      sum_(gradients) {
  if (gradients == 0) return;
  const std::size_t sets = full() ? tableau_.stages + 1 : std::size_t{kSeminormSets};
  for (std::size_t set = 0; set < sets; ++set)
    sets_.push_back(call.workspace.clear_slots(set, slots_.count()));
  if (full()) rates_.assign(sets_.size(), std::vector<float>(gradients));
}

AdjointGradients::Target AdjointGradients::target(int stage, std::size_t tile) const {
  if (sets_.empty()) return {};
  const auto slot = [&](std::size_t set) { return sets_[set][slots_.of(tile)]; };
  const bool trial = stage == TileSystem::kTrialStage;
  if (full()) return {slot(trial ? tableau_.stages : stage), 1};
  if (trial) return {};
  if (stage == 0) return {slot(kFirst), 1};
  if (tableau_.fsal && stage == tableau_.stages - 1) return {slot(kLast), 1};
  const float weight = static_cast<float>(weights_[stage]);
  return weight == 0 ? Target{} : Target{slot(kBetween), weight};
}

void AdjointGradients::attempt(const Step& step) { weights_ = step_weights(tableau_, step.theta); }

void AdjointGradients::clear(std::size_t set) {
  for (GradientSlot* slot : sets_[set]) slot->clear();
}

void AdjointGradients::commit(std::size_t set, double weight) {
  if (weight == 0) return;
  reduce_slots(call_.net, call_.team, sets_[set], static_cast<float>(weight), sum_);
}

// Full: moves the gradients of a stage into rates_.
void AdjointGradients::collect(std::size_t set) {
  std::fill(rates_[set].begin(), rates_[set].end(), 0.f);
  reduce_slots(call_.net, call_.team, sets_[set], 1, rates_[set]);
  clear(set);
}

void AdjointGradients::accept(const Step& step) {
  if (sets_.empty()) return;
  const int last = tableau_.stages - 1;
  if (full()) {
    if (!tableau_.adaptive) collect_attempt();
    for (int stage = 0; stage <= last; ++stage) {
      const float weight = static_cast<float>(step.h * weights_[stage]);
      if (weight == 0) continue;
      for (const ParameterRange& range : ranges_)
        for (std::size_t i = range.offset; i < range.offset + range.size; ++i)
          sum_[i] -= weight * rates_[stage][i];
    }
    if (tableau_.fsal) std::swap(rates_.front(), rates_[last]);
    first_collected_ = tableau_.fsal;
    return;
  }
  commit(kFirst, -step.h * weights_[0]);
  commit(kBetween, -step.h);
  clear(kFirst);
  clear(kBetween);
  if (tableau_.fsal) {
    // A weight here means an interpolated, and so the last, step: nobody needs the slots after it.
    commit(kLast, -step.h * weights_[last]);
    sets_[kFirst].swap(sets_[kLast]);
  }
}

void AdjointGradients::reject() {
  if (sets_.empty() || full()) return;
  clear(kBetween);
  clear(kLast);
}

void AdjointGradients::collect_attempt() {
  if (!first_collected_) collect(0);
  first_collected_ = true;
  for (int stage = 1; stage < tableau_.stages; ++stage) collect(stage);
}

// The largest RMS of a tensor of `values` over atol + rtol max(|θ̄|, |end|).
double AdjointGradients::largest_rms(std::span<const float> values,
                                     std::span<const float> end) const {
  const SolverOptions& options = call_.plan.solver;
  double largest = 0;
  for (const ParameterRange& range : ranges_) {
    double sum = 0;
    for (std::size_t i = range.offset; i < range.offset + range.size; ++i) {
      const double scale =
          options.atol + options.rtol * std::max(std::abs(sum_[i]), std::abs(end[i]));
      sum += (values[i] / scale) * (values[i] / scale);
    }
    const double rms = std::sqrt(sum / static_cast<double>(range.size));
    if (std::isnan(rms)) return rms;
    largest = std::max(largest, rms);
  }
  return largest;
}

double AdjointGradients::rate_norm() {
  if (sets_.empty() || !full()) return 0;
  collect(0);
  first_collected_ = true;
  return largest_rms(rates_[0], sum_);
}

double AdjointGradients::change_norm() {
  if (sets_.empty() || !full()) return 0;
  std::vector<float>& trial = rates_.back();
  collect(tableau_.stages);
  for (std::size_t i = 0; i < trial.size(); ++i) trial[i] -= rates_[0][i];
  return largest_rms(trial, sum_);
}

double AdjointGradients::error_norm(double h) {
  if (sets_.empty() || !full()) return 0;
  collect_attempt();
  std::vector<float> error(sum_.size()), end = sum_;
  for (int stage = 0; stage < tableau_.stages; ++stage) {
    const float error_weight = static_cast<float>(h * tableau_.e[stage]);
    const float weight = static_cast<float>(h * tableau_.b[stage]);
    for (std::size_t i = 0; i < error.size(); ++i) {
      error[i] += error_weight * rates_[stage][i];
      end[i] -= weight * rates_[stage][i];
    }
  }
  return largest_rms(error, end);
}

void AdjointGradients::add_to(std::span<float> gradients) const {
  for (const ParameterRange& range : ranges_)
    for (std::size_t i = range.offset; i < range.offset + range.size; ++i) gradients[i] += sum_[i];
}

}  // namespace ffjord::cpu
