// A block with dynamics. What is the same for all engines stands here: which trace, which noise and
// which end time a solve has, and what of a trajectory falls to it. An engine adds the integral,
// the field, and the pullbacks of both.
#pragma once

#include <memory>
#include <span>

#include "core/block_plan.h"
#include "core/flow_block.h"

namespace ffjord {

template <class Real>
BlockContext<Real> net_context(const BlockPlace<Real>& place) {
  return {place.offsets, place.parameters};
}

/// Rows of flow matching in the memory of a device.
template <class Real>
struct MatchingRows {
  const MatchingRequest& request;
  TracePlan trace;
  std::span<const Real> x0, context;  ///< (B, D), (B, C)
};

template <class Real>
class ContinuousBlock : public FlowBlock<Real> {
 public:
  explicit ContinuousBlock(const BlockPlace<Real>& place) : place_(place) {}

  std::unique_ptr<BlockTape> solve(const ChainSolve<Real>& call, ChainState<Real>& state) final;
  void pullback(const BlockTape& tape, const ChainPullback<Real>& call,
                ChainState<Real>& bar) final;

  /// As Flow::velocity.
  void velocity(const VelocityRequest& request, const Output& f, const Output& divergence);
  /// As Flow::velocity_pullback; `gradients` as ChainPullback's.
  void velocity_pullback(const VelocityRequest& request, const Input& f_bar,
                         const Input& divergence_bar, std::span<Real> gradients,
                         const Output& z_bar);
  /// As Flow::velocity_regression; `gradients` as ChainPullback's.
  void velocity_regression(const VelocityRequest& request, const VelocityTarget& target,
                           std::span<Real> gradients);
  /// As Flow::match, of x₀ (B, D) and contexts (B, C) in the memory of a device.
  void match(const MatchingRequest& request, std::span<const Real> x0,
             std::span<const Real> context, std::span<Real> gradients);

 protected:
  /// Integrates dz/dt = f, dΔlogp/dt = −div f and the regularisers in place, over 0 → T or, in
  /// reverse, T → 0; Δlogp and regularisers are added to. Under Control::Sample a row's result does
  /// not depend on the other rows. With `keep_tape`, returns what the pullback needs: checkpoints,
  /// or the end state (adjoint). Throws SolveFailure.
  virtual std::unique_ptr<BlockTape> solve_rows(const BlockPlan& plan, bool reverse,
                                                const BlockRows<Real>& rows,
                                                const BlockNoise<Real>& noise, bool keep_tape,
                                                const BlockTrajectory<Real>* trajectory,
                                                SolveStatistics& statistics) = 0;

  /// `rows` holds the cotangents of what `solve_rows` left; z becomes the cotangent of the rows
  /// that went in. Adds to `gradients` (the whole flat buffer; √T included, chained through T =
  /// s²), unless it is empty. Δlogp and regularisers pass through the block, so theirs are left as
  /// they are.
  virtual void pull_rows(const BlockTape& tape, const BlockRows<Real>& rows,
                         std::span<Real> gradients, SolveStatistics& statistics) = 0;

  /// f(z, t) and, where `divergence` is not empty, its divergence.
  virtual void evaluate(const BlockPoint<Real>& point, std::span<Real> f,
                        std::span<Real> divergence) = 0;
  virtual void pull_point(const BlockPoint<Real>& point,
                          const PointCotangents<Real>& cotangents) = 0;
  /// The losses of a target, and their gradients. An engine that evaluates for a pullback anyway
  /// saves the evaluation here.
  virtual void regress_point(const BlockPoint<Real>& point, const VelocityTarget& target,
                             std::span<Real> gradients);
  /// For devices with a memory of their own.
  virtual void match_rows(const MatchingRows<Real>& rows, std::span<Real> gradients);

 private:
  struct GivenPoint;

  BlockPlan plan_of(const ChainSolve<Real>& call) const;
  BlockNoise<Real> noise_of(const Noise& noise, const Input& given, const Input& rows,
                            const TracePlan& plan, std::size_t batch) const;

  const BlockPlace<Real> place_;
};

extern template class ContinuousBlock<float>;
extern template class ContinuousBlock<double>;

}  // namespace ffjord
