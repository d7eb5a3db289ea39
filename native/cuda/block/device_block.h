// A CNF block of the CUDA engine.
#pragma once

#include <memory>

#include "core/continuous_block.h"
#include "cuda/block/workspace.h"
#include "cuda/device/flow_stream.h"

namespace ffjord::cuda {

class DeviceBlock : public ContinuousBlock<float> {
 public:
  /// Works in the flow's stream, which outlives it.
  DeviceBlock(const BlockPlace<float>& place, const FlowStream& stream);

  void parameters_changed() override;

 private:
  std::unique_ptr<BlockTape> solve_rows(const BlockPlan& plan, bool reverse,
                                        const BlockRows<float>& rows,
                                        const BlockNoise<float>& noise, bool keep_tape,
                                        const BlockTrajectory<float>* trajectory,
                                        SolveStatistics& statistics) override;

  void pull_rows(const BlockTape& tape, const BlockRows<float>& rows, std::span<float> gradients,
                 SolveStatistics& statistics) override;

  void evaluate(const BlockPoint<float>& point, std::span<float> f,
                std::span<float> divergence) override;

  void pull_point(const BlockPoint<float>& point,
                  const PointCotangents<float>& cotangents) override;

  void regress_point(const BlockPoint<float>& point, const VelocityTarget& target,
                     std::span<float> gradients) override;

  void match_rows(const MatchingRows<float>& rows, std::span<float> gradients) override;

  BlockCall call(const BlockPlan& plan, const Grouping& grouping, bool reverse, const float* eps,
                 const float* terms);
  /// The block's part of the flow's gradients; null where they are not wanted.
  float* gradient_of(std::span<float> gradients) const;

  const FlowStream& stream_;
  const std::size_t first_parameter_;  // √T
  DeviceNet net_;
  Workspace workspace_;
};

}  // namespace ffjord::cuda
