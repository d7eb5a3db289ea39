// A CNF block as an engine for host memory implements it: solve, pullback, velocity. HostFlow
// chains blocks, keeps parameters and calls these; it is the only caller.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "core/block_noise.h"
#include "core/flow_description.h"
#include "core/options.h"
#include "core/parameters.h"
#include "core/slots.h"
#include "core/step_control.h"
#include "core/trace_plan.h"

namespace ffjord {

/// What a block's pullback needs of its solve; each engine derives its own.
class BlockTape {
 public:
  virtual ~BlockTape() = default;
};

/// How a block is integrated, equal for all engines.
struct BlockPlan {
  SolverOptions solver;
  GradientOptions gradient;
  TracePlan trace;
  Regularisers regularisers;
  double sqrt_end_time = 0;    ///< √T, a parameter of the block
  double end_time_factor = 1;  ///< the block runs to so many of its T: STEER's random end time
  std::stop_token stop;        ///< looked at between attempts; a stop throws Error(Cancelled)
  BatchShare share = {};  ///< the rows that gradients are summed over, in slots of the whole batch

  double end_time() const { return sqrt_end_time * sqrt_end_time * end_time_factor; }
  /// The cotangent of √T for that of `end_time()`.
  double sqrt_end_time_bar(double end_time_bar) const {
    return 2 * sqrt_end_time * end_time_factor * end_time_bar;
  }
};

/// Rows of one block: D values, the accumulated Δlogp, R regularisers and C numbers of context
/// each, in the memory of the flow's device; cotangents of contexts on the host.
template <class Real>
struct BlockRows {
  std::size_t count = 0;               ///< B
  std::span<Real> z;                   ///< (B, D)
  std::span<Real> delta_logp;          ///< (B)
  std::span<Real> regularisers;        ///< (B, R), in the order of the table
  std::span<const Real> context = {};  ///< (B, C), also of a pullback; empty where C = 0
  std::span<Real> context_bar = {};    ///< (B, C) of a pullback, added to; may be empty
};

/// States at which the field of a block is evaluated, on the host as all that goes with them.
template <class Real>
struct BlockPoint {
  TracePlan trace;
  std::span<const double> times;  ///< one entry, or one a row
  std::size_t batch = 0;
  std::span<const Real> z;        ///< (B, D)
  const BlockNoise<Real>& noise;  ///< as in solve
  std::span<const Real> context;  ///< (B, C); empty where C = 0
};

/// Cotangents of f and its divergence, and those of what they depend on, which are added to. All
/// but f may be empty.
template <class Real>
struct PointCotangents {
  std::span<const Real> f, divergence;  ///< (B, D), (B)
  std::span<Real> z, context;           ///< (B, D), (B, C)
  std::span<Real> gradients;            ///< whole flat buffer, as a pullback's
  std::span<double> times;              ///< as the point's
};

/// States on the way: within a step by the method's interpolant, so that they cost no evaluations.
template <class Real>
struct BlockTrajectory {
  std::span<const double> times;  ///< within [0, T], monotone in the direction of the solve
  std::span<Real> z;              ///< (times, B, D)
  std::span<Real> delta_logp;     ///< (times, B)
};

template <class Real>
class ContinuousBlock {
 public:
  virtual ~ContinuousBlock() = default;

  /// Must be called after the weights changed and before the next use: repacks what is derived.
  virtual void parameters_changed() = 0;

  /// Integrates dz/dt = f, dΔlogp/dt = −div f and the regularisers in place, over 0 → T (Forward)
  /// or T → 0; Δlogp and regularisers are added to. Under Control::Sample a row's result does not
  /// depend on the other rows. With `keep_tape`, returns what the pullback needs: checkpoints, or
  /// the end state (adjoint). Throws SolveFailure.
  virtual std::unique_ptr<BlockTape> solve(const BlockPlan& plan, bool reverse,
                                           const BlockRows<Real>& rows,
                                           const BlockNoise<Real>& noise, bool keep_tape,
                                           const BlockTrajectory<Real>* trajectory,
                                           SolveStatistics& statistics) = 0;

  /// `rows` holds the cotangents of what `solve` returned; z becomes the cotangent of the rows that
  /// went in. Adds to `gradients` (whole flat buffer, where FlatBuffer::values says; √T included,
  /// chained through T = s²), unless it is empty. Δlogp and regularisers pass through the block, so
  /// theirs are left as they are.
  virtual void pullback(const BlockTape& tape, const BlockRows<Real>& rows,
                        std::span<Real> gradients, SolveStatistics& statistics) = 0;

  /// f(z, t) and, where `divergence` is not empty, its divergence.
  virtual void velocity(const BlockPoint<Real>& point, std::span<Real> f,
                        std::span<Real> divergence) = 0;
  virtual void velocity_pullback(const BlockPoint<Real>& point,
                                 const PointCotangents<Real>& cotangents) = 0;
};

/// What a block reads: its place in the flow, and the flat buffer of all weights, which outlives
/// it and lies where FlatBuffer::values says.
template <class Real>
struct BlockContext {
  const Cnf& cnf;
  const std::vector<int>& shape;  ///< of a sample before the block
  const BlockOffsets& offsets;
  std::span<const Real> parameters;
  Conditioning context = {};
};

}  // namespace ffjord
