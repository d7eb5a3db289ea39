// A CNF block of the float64 engine: groups of rows that step together, their solves and pullbacks.
#pragma once

#include "core/continuous_block.h"
#include "reference/checkpoint.h"

namespace ffjord::reference {

/// Rows that step together: all of a batch, or one under Control::Sample.
struct Group {
  std::size_t first = 0, count = 0;
};

class ReferenceBlock : public ContinuousBlock<double> {
 public:
  explicit ReferenceBlock(const BlockContext<double>& context);

  /// Nothing is derived from the weights between calls.
  void parameters_changed() override {}

  std::unique_ptr<BlockTape> solve(const BlockPlan& plan, bool reverse,
                                   const BlockRows<double>& rows, const BlockNoise<double>& noise,
                                   bool keep_tape, const BlockTrajectory<double>* trajectory,
                                   SolveStatistics& statistics) override;

  void pullback(const BlockTape& tape, const BlockRows<double>& rows, Target gradients,
                SolveStatistics& statistics) override;

  void velocity(const BlockPoint<double>& point, Target f, Target divergence) override;

  void velocity_pullback(const BlockPoint<double>& point,
                         const PointCotangents<double>& cotangents) override;

 private:
  /// The group's rows of a point.
  Point point_of(const BlockPoint<double>& point, const Group& group, View eps) const;

  Dynamics dynamics_;
  std::size_t sqrt_end_time_offset_;
};

}  // namespace ffjord::reference
