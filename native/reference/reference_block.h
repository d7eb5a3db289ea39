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
  explicit ReferenceBlock(const BlockPlace<double>& place);

 private:
  std::unique_ptr<BlockTape> solve_rows(const BlockPlan& plan, bool reverse,
                                        const BlockRows<double>& rows,
                                        const BlockNoise<double>& noise, bool keep_tape,
                                        const BlockTrajectory<double>* trajectory,
                                        SolveStatistics& statistics) override;

  void pull_rows(const BlockTape& tape, const BlockRows<double>& rows, Target gradients,
                 SolveStatistics& statistics) override;

  void evaluate(const BlockPoint<double>& point, Target f, Target divergence) override;

  void pull_point(const BlockPoint<double>& point,
                  const PointCotangents<double>& cotangents) override;

  /// The group's rows of a point.
  Point point_of(const BlockPoint<double>& point, const Group& group, View eps) const;

  Dynamics dynamics_;
  std::size_t sqrt_end_time_offset_;
};

}  // namespace ffjord::reference
