// A feed-forward net on one tile of rows, as one instruction set compiles it: the border between
// its kernels and cpu/feed_forward.cc. Rows beyond the batch are zero, and so are their cotangents.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "core/feed_forward.h"

namespace ffjord::cpu {

/// Activations of a tile that its pullback needs, or scratch memory of an application.
class FeedForwardActivations {
 public:
  virtual ~FeedForwardActivations() = default;
};

/// Sums of weight gradients, in the kernels' own layout, and the cotangents of a tile that they are
/// made of.
class FeedForwardSums {
 public:
  virtual ~FeedForwardSums() = default;
  virtual void clear() = 0;
  /// The sums, to be added up in any order of elements.
  virtual std::span<float> values() = 0;
};

/// Rows of a tile, at most `rows()` of them, row-major.
struct FeedForwardRows {
  std::size_t count = 0;
  const float* from = nullptr;
  float* to = nullptr;
};

class FeedForwardTile {
 public:
  virtual ~FeedForwardTile() = default;

  virtual std::size_t rows() const = 0;
  /// What is packed of layer number `layer` is made again, for applications or for pullbacks.
  /// Several threads may pack at once.
  virtual void pack(std::size_t layer) = 0;
  virtual void pack_transposed(std::size_t layer) = 0;

  virtual std::unique_ptr<FeedForwardActivations> make_activations() const = 0;
  virtual std::unique_ptr<FeedForwardSums> make_sums() const = 0;

  /// x (count, in) → y (count, out); what a pullback needs stays in `activations` where `keep`.
  virtual void apply(const FeedForwardRows& rows, FeedForwardActivations& activations,
                     bool keep) const = 0;
  /// ȳ (count, out) → x̄ (count, in), added to, or null; adds to the sums of biases. The cotangents
  /// of all layers stay with the sums until the next pullback.
  virtual void pull_back(const FeedForwardRows& rows, FeedForwardActivations& activations,
                         FeedForwardSums& sums) const = 0;
  /// Adds to W̄ of layer number `layer` what the `count` rows of the last pullback make of it.
  /// Several threads may do so at once for different layers. `scratch` takes weight_scratch()
  /// floats.
  virtual void add_weights(std::size_t layer, std::size_t count,
                           FeedForwardActivations& activations, FeedForwardSums& sums,
                           float* scratch) const = 0;
  virtual std::size_t weight_scratch() const = 0;
  /// Completes the sums of a slot, before slots are added up: those of other processes may join
  /// them as gradients.
  virtual void finish(FeedForwardSums& sums) const = 0;
  /// Adds sums of layer number `layer` to the flat gradient buffer, in PyTorch's layout.
  virtual void add_gradients(std::size_t layer, FeedForwardSums& sums,
                             std::span<float> gradients) const = 0;
};

/// Throws Error(Unsupported) for a name that instruction_sets() does not list.
std::unique_ptr<FeedForwardTile> make_feed_forward_tile(std::string_view instruction_set,
                                                        const FeedForwardPlace<float>& place);

}  // namespace ffjord::cpu
