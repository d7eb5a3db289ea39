// The times of a tile whose rows step apart. One slot is set anew from stage to stage, so that it
// stays in the cache.
#pragma once

#include <memory>
#include <vector>

#include "core/tableau.h"
#include "cpu/aligned.h"
#include "cpu/step_times.h"

namespace ffjord::cpu {

class RowTimes final : public StepTimes {
 public:
  RowTimes(const TileNet& net, const TracePlan& trace, const Tableau& tableau)
      : net_(net),
        tableau_(tableau),
        slot_(net.make_time_slot(trace)),
        t_(net.rows()),
        h_(net.rows()),
        stage_t_(net.rows()),
        sizes_(net.rows()) {}

  /// Before a row's step; `changed` after all of them.
  void set(std::size_t row, double t, double h) {
    t_[row] = t;
    h_[row] = h;
    sizes_[row] = static_cast<float>(h);
  }
  void changed() { stage_ = kNone; }

  bool own() const override { return true; }
  const float* h() const override { return sizes_.data(); }
  double time(int stage, std::size_t row) const override {
    return t_[row] + tableau_.c[stage] * h_[row];
  }
  const TimeSlot& of(int stage) override {
    if (stage_ != kNone && tableau_.c[stage] == tableau_.c[stage_]) return *slot_;
    stage_ = stage;
    for (std::size_t row = 0; row < t_.size(); ++row)
      stage_t_[row] = static_cast<float>(time(stage, row));
    net_.set_times(*slot_, stage_t_.data());
    return *slot_;
  }

 private:
  static constexpr int kNone = -1;
  const TileNet& net_;
  const Tableau& tableau_;
  const std::unique_ptr<TimeSlot> slot_;
  std::vector<double> t_, h_;
  AlignedFloats stage_t_, sizes_;
  int stage_ = kNone;  // whose times the slot holds
};

}  // namespace ffjord::cpu
