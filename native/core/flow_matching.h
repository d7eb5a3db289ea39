// Simulation-free training of the same nets: conditional flow matching (Lipman et al. 2023, eq. 23)
// on straight lines from data to base points, a composition of velocity and its pullback.
//
// x₀ is a row after the flow's fixed transforms, x₁ a base point; at s in [0, 1] the line stands at
// x_s = (1 − s) x₀ + s x₁ and moves at x₁ − x₀. Block i of n owns s in [i, i + 1] / n: its time is
// t = (n s − i) T_i, and its field should be (x₁ − x₀) / (n T_i). The end times stay as they are.
#pragma once

#include <vector>

#include "core/engine.h"

namespace ffjord {

/// Which base point goes with which row: any, or those of least squared distance within groups of
/// 128 rows of the batch (minibatch optimal transport, Tong et al. 2024, algorithm 3).
enum class Coupling { Independent, Optimal };
inline constexpr std::size_t kCoupledRows = 128;

class FlowMatching {
 public:
  /// Reads the end times once. Throws Error(Unsupported) for a flow that has weights or splits
  /// before its first CNF block, anything but CNF blocks and squeezes from there on, or hyper
  /// layers; and for an optimal coupling with a context, as the base would no longer be N(0, I)
  /// given the context.
  FlowMatching(const Flow& flow, Coupling coupling);

  struct Batch {
    std::size_t count = 0;
    /// (B, D), rows of a data set or given behind the fixed transforms; (B, C)
    RowSource x0, context;
    Noise noise;  ///< of x₁ and s
    BatchShare share =
        {};  ///< of a batch that several processes share; begins with a group of rows
  };
  /// Mean over the batch of ‖n T f(x_s, t) − (x₁ − x₀)‖². Its gradients are added to the buffer,
  /// all times `weight`. `s` is stratified: one in each of B equal parts, in turns. A share of a
  /// batch gives what its rows add to both; of one block they are those bits of the whole.
  /// Rows of a data set do not leave a device with memory of its own, but for optimal couplings and
  /// flows of several blocks, whose points are made on the host.
  double loss(Flow& flow, const Batch& batch, double weight = 1) const;

 private:
  const Coupling coupling_;
  std::size_t size_;                                // D
  std::vector<double> end_times_;                   // of the CNF blocks
  std::vector<std::vector<std::uint32_t>> places_;  // of their elements in a row of x₀
};

}  // namespace ffjord
