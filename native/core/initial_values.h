// First weights and statistics: the reference's initialisation, rounded to float32 so that every
// engine starts from equal numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "core/flow_layout.h"
#include "core/philox.h"

namespace ffjord {

/// First weights of the parts of a layout, drawn part by part: every tensor from a call of its own,
/// in the order in which they are asked for.
class InitialParameters {
 public:
  /// `layout` outlives it.
  InitialParameters(const ParameterLayout& layout, std::uint64_t seed)
      : layout_(layout), seed_(seed), values_(layout.parameter_count, 0.0) {}

  /// PyTorch's U(±1/√fan_in) for weights and biases (a context counts among the inputs), hypernets
  /// with weight 0 and bias N(0, 0.01²), β = 1; then zeros where `zero_last` asks for them.
  void draw(const NetPlan& net);
  /// The nets of its blocks, √T for the end times, batch norm at the identity.
  void draw(const FlowDescription& flow, const std::vector<BlockOffsets>& blocks);

  /// The tensor at this offset, in [−spread, spread) or from N(0, spread²); none at kAbsent.
  void draw(std::size_t offset, NoiseLaw law, double spread);

  const std::vector<double>& values() const { return values_; }

 private:
  void clear(std::size_t offset);

  const ParameterLayout& layout_;
  const std::uint64_t seed_;
  std::vector<double> values_;
  std::uint32_t tensor_ = 0;
};

std::vector<double> initial_parameters(const FlowDescription& flow, const FlowLayout& layout,
                                       std::uint64_t seed);
/// Running statistics at the identity.
std::vector<double> initial_buffers(const FlowLayout& layout);

}  // namespace ffjord
