// What an engine is told of a block with dynamics: how to integrate it, on which rows, and what its
// net is made of.
#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <vector>

#include "core/block_noise.h"
#include "core/flow_layout.h"
#include "core/options.h"
#include "core/slots.h"
#include "core/step_control.h"
#include "core/trace_plan.h"

namespace ffjord {

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

  /// Those that step together with other processes' rows; null where these step alone.
  SharedSums* shared_sums() const { return solver.shared ? share.sums : nullptr; }
  double end_time() const { return sqrt_end_time * sqrt_end_time * end_time_factor; }
  /// The cotangent of √T for that of `end_time()`.
  double sqrt_end_time_bar(double end_time_bar) const {
    return 2 * sqrt_end_time * end_time_factor * end_time_bar;
  }
};

/// Rows of one block: D values, the accumulated Δlogp, R regularisers and C numbers of context
/// each, in the device's memory; cotangents of contexts on the host.
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
  BatchShare share = {};          ///< as BlockPlan's
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

/// What the net of a block is made of; all of it outlives the net.
template <class Real>
struct BlockContext {
  const BlockOffsets& offsets;       ///< its net's plan, and where its weights stand
  std::span<const Real> parameters;  ///< all weights, in the device's memory
};

}  // namespace ffjord
