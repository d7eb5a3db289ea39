// One dense map of a batch, y = W x + b, which may have many more outputs than a batch has rows:
// the linear maps that make an image's numbers of an encoder's output. W is read as it lies among
// the parameters, once an application and once a pullback, and W̄ is added to in one pass: packed
// weights, and sums of W̄ by slot, would be several passes over as much memory as W, which is what
// such a map costs.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "core/feed_forward.h"
#include "core/slots.h"

namespace ffjord::cpu {

/// Rows and inputs are padded to whole blocks of any instruction set's products.
inline constexpr std::size_t kDenseBlock = 32;
inline constexpr std::size_t whole_blocks(std::size_t count) {
  return (count + kDenseBlock - 1) / kDenseBlock * kDenseBlock;
}

/// The most units, outputs, that a kernel takes at a time.
inline constexpr std::size_t kAppliedUnits = 128, kPulledUnits = 32;

/// W (out, in) and b (out).
struct DenseMap {
  const float *weight, *bias;
  std::size_t in, out;
};

struct DenseApplication {
  std::size_t batch;
  const float* x;  ///< [block of rows][in][kDenseBlock], rows beyond the batch zero
  float* y;        ///< (B, out)

  std::size_t scratch() const { return kAppliedUnits * whole_blocks(batch); }
};

struct DensePullback {
  std::size_t batch;
  std::span<const RowRange> slots;  ///< whose sums are added up as a tree
  const float* x;                   ///< [B][whole blocks of in]
  const float* y_bar;               ///< (B, out)
  float* x_bar;                     ///< [B][whole blocks of in], added to; null: not wanted
  float *weight_bar, *bias_bar;     ///< (out, in) and (out), added to; null: not wanted

  std::size_t scratch(std::size_t in) const {
    return kPulledUnits * (whole_blocks(batch) + (slots.size() + 1) * whole_blocks(in));
  }
};

/// The kernels of one instruction set, on at most kAppliedUnits or kPulledUnits units.
struct DenseMapKernels {
  void (*apply)(const DenseMap& map, const RowRange& units, const DenseApplication& call,
                float* scratch);
  void (*pull_back)(const DenseMap& map, const RowRange& units, const DensePullback& call,
                    float* scratch);
};

/// Throws Error(Unsupported) for a name that instruction_sets() does not list.
DenseMapKernels dense_map_kernels(std::string_view instruction_set);

/// Whether a net is one dense map and nothing else.
bool is_dense_map(const FeedForwardPlan& plan);

/// Of such a net. Results are bitwise the same for any number of threads.
std::unique_ptr<FeedForward<float>> make_dense_map(const FeedForwardPlace<float>& place,
                                                   std::string_view instruction_set, int threads);

}  // namespace ffjord::cpu
