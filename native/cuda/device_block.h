// A CNF block of the CUDA engine.
#pragma once

#include <memory>

#include "core/continuous_block.h"
#include "cuda/workspace.h"

namespace ffjord::cuda {

class DeviceBlock : public ContinuousBlock<float> {
 public:
  /// Works on `device` in a stream of its own. Throws Error(Unsupported) for convolutional nets.
  DeviceBlock(const BlockContext<float>& context, int device);

  void parameters_changed() override;

  std::unique_ptr<BlockTape> solve(const BlockPlan& plan, bool reverse,
                                   const BlockRows<float>& rows, const BlockNoise<float>& noise,
                                   bool keep_tape, const BlockTrajectory<float>* trajectory,
                                   SolveStatistics& statistics) override;

  void pullback(const BlockTape& tape, const BlockRows<float>& rows, std::span<float> gradients,
                SolveStatistics& statistics) override;

  void velocity(const BlockPoint<float>& point, std::span<float> f,
                std::span<float> divergence) override;

  void velocity_pullback(const BlockPoint<float>& point,
                         const PointCotangents<float>& cotangents) override;

 private:
  class Gradient;

  /// Makes the device that of the calling thread.
  void enter() const;

  double sqrt_end_time() const { return parameters_[sqrt_end_time_offset_]; }
  BlockCall call(const BlockPlan& plan, const Grouping& grouping, bool reverse, const float* eps,
                 const float* terms);

  const int device_;
  const Stream stream_;
  const std::span<const float> parameters_;
  const std::size_t sqrt_end_time_offset_;
  DenseNet net_;
  Workspace workspace_;
};

}  // namespace ffjord::cuda
