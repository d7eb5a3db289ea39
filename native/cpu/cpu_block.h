// A CNF block of the float32 engine.
#pragma once

#include <memory>
#include <vector>

#include "core/continuous_block.h"
#include "cpu/block_call.h"

namespace ffjord::cpu {

class CpuBlock : public ContinuousBlock<float> {
 public:
  /// Runs on at most `threads` threads.
  CpuBlock(const BlockPlace<float>& place, std::string_view instruction_set, int threads);

  void parameters_changed() override { net_->parameters_changed(); }

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

  /// Threads that a job of this size is worth.
  int threads_for(const TracePlan& trace, std::size_t batch, int evaluations) const;
  /// As BlockCall::keeps_unasked.
  std::uint64_t kept_unasked(const TracePlan& trace) const;
  bool has_costly_times(const TracePlan& trace) const;
  Workspace& workspace(const TracePlan& trace, const Regularisers& regularisers, const Team& team);

  const NetPlan plan_;
  const std::size_t dimension_;
  const std::size_t sqrt_end_time_offset_;
  const std::size_t weights_;  // in the block
  const int threads_;
  const std::unique_ptr<TileNet> net_;
  std::unique_ptr<Workspace> workspace_;  // of the form of the divergence used last
};

}  // namespace ffjord::cpu
