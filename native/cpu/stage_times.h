// The times of tiles that step together: a slot a stage, those at the same t share one.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "core/tableau.h"
#include "cpu/aligned.h"
#include "cpu/step_times.h"
#include "cpu/thread_pool.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu {

class StageTimes final : public StepTimes {
 public:
  StageTimes(const TileNet& net, const TracePlan& trace)
      : net_(net), trace_(trace), sizes_(net.rows()) {}

  void use(const Tableau& tableau) {
    tableau_ = &tableau;
    for (int stage = 0; stage < tableau.stages; ++stage) {
      index_[stage] = stage;
      for (int earlier = stage; earlier-- > 0;)
        if (tableau.c[earlier] == tableau.c[stage]) index_[stage] = index_[earlier];
    }
    reserve(tableau.stages);
  }

  /// Sets the slots of stages `first` … `end` − 1 of a step of size h from t, side by side where a
  /// team is given: M(t) of a closed form and the weights of a hypernet cost as much as an
  /// evaluation of some rows.
  void set(double t, double h, int first, int end, Team* team = nullptr) {
    t_ = t;
    h_ = h;
    std::fill(sizes_.begin(), sizes_.end(), static_cast<float>(h));
    const auto set_stage = [&](int stage) {
      const int slot = index_[stage];
      if (slot == stage || slot < first) net_.set_time(*slots_[slot], time(stage, 0));
    };
    if (team) return team->run(end - first, [&](int, std::size_t i) { set_stage(first + int(i)); });
    for (int stage = first; stage < end; ++stage) set_stage(stage);
  }

  /// Makes the first slot one t, or one t a row ([rows]).
  const TimeSlot& set_single(double t) {
    reserve(1);
    index_[0] = 0;
    net_.set_time(*slots_[0], t);
    return *slots_[0];
  }
  const TimeSlot& set_rows(const float* t) {
    reserve(1);
    net_.set_times(*slots_[0], t);
    return *slots_[0];
  }

  bool own() const override { return false; }
  const float* h() const override { return sizes_.data(); }
  double time(int stage, std::size_t) const override { return t_ + tableau_->c[stage] * h_; }
  const TimeSlot& of(int stage) override { return *slots_[index_[stage]]; }

 private:
  void reserve(std::size_t count) {
    while (slots_.size() < count) slots_.push_back(net_.make_time_slot(trace_));
  }

  const TileNet& net_;
  const TracePlan trace_;
  const Tableau* tableau_ = nullptr;
  double t_ = 0, h_ = 0;
  AlignedFloats sizes_;
  std::array<int, kMaxStages> index_{};  // of a stage's slot
  std::vector<std::unique_ptr<TimeSlot>> slots_;
};

}  // namespace ffjord::cpu
