// A trajectory's times, cut from the time of the flow into those of its blocks.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "core/block_plan.h"
#include "core/engine.h"

namespace ffjord {

/// Block number n (counted among CNF blocks) runs from the sum of the end times before it.
template <class Real>
class Trajectory {
 public:
  /// `lengths`: end time of each CNF block, data → base; `size`: D. Throws on times out of order or
  /// range.
  Trajectory(std::vector<double> lengths, const SolveRequest& request, const SolveOutput& output,
             std::size_t size)
      : lengths_(std::move(lengths)), request_(request), output_(output), size_(size) {
    double end = 0;
    for (double length : lengths_) {
      starts_.push_back(end);
      end += length;
    }
    for (std::size_t k = 0; k < request.times.size(); ++k) {
      const double t = request.times[k];
      if (!(t >= 0 && t <= end * (1 + 1e-12)))
        throw Error(ErrorCode::InvalidArgument,
                    "times must lie within [0, " + std::to_string(end) + "], the flow's end time");
      if (k > 0 && (reverse() ? t > request.times[k - 1] : t < request.times[k - 1]))
        throw Error(ErrorCode::InvalidArgument,
                    "times must be monotone in the direction of the solve");
    }
  }

  /// The times that fall to a block, as times of its own, and room for their states.
  BlockTrajectory<Real> enter(std::size_t block) {
    times_.clear();
    const bool last = block == (reverse() ? 0 : lengths_.size() - 1);
    while (next_ + times_.size() < request_.times.size()) {
      const double t = request_.times[next_ + times_.size()] - starts_[block];
      if (!last && (reverse() ? t < 0 : t > lengths_[block])) break;
      times_.push_back(std::clamp(t, 0.0, lengths_[block]));
    }
    z_.resize(times_.size() * request_.batch * size_);
    delta_logp_.resize(times_.size() * request_.batch);
    return {times_, z_, delta_logp_};
  }

  /// Hands on what the block wrote.
  void leave() {
    if (times_.empty()) return;
    const std::size_t rows = next_ * request_.batch;
    if (!output_.trajectory.empty())
      output_.trajectory.subspan(rows * size_, z_.size()).assign(std::span<const Real>(z_));
    if (!output_.trajectory_delta_logp.empty())
      output_.trajectory_delta_logp.subspan(rows, delta_logp_.size())
          .assign(std::span<const Real>(delta_logp_));
    next_ += times_.size();
  }

 private:
  bool reverse() const { return request_.direction == Direction::Reverse; }

  const std::vector<double> lengths_;
  const SolveRequest& request_;
  const SolveOutput& output_;
  const std::size_t size_;
  std::vector<double> starts_, times_;
  std::size_t next_ = 0;
  std::vector<Real> z_, delta_logp_;
};

}  // namespace ffjord
