// The parts of a flow in a parameter layout, block by block.
#pragma once

#include <string>
#include <vector>

#include "core/flow_description.h"
#include "core/parameters.h"

namespace ffjord {

/// Places of one block's tensors.
struct BlockOffsets {
  std::size_t sqrt_end_time = kAbsent;              // cnf: T is its square; absent where T is fixed
  NetPlan net;                                      // cnf; of other blocks it has no layers
  std::size_t log_scale = kAbsent, bias = kAbsent;  // batch norm: w, b (parameters)
  std::size_t running_mean = kAbsent, running_var = kAbsent,
              step = kAbsent;  // batch norm (buffers)
};

/// Appends the blocks of a flow as `prefix`.0, `prefix`.1 … to a layout, which may hold other parts
/// too. Throws as `validate`.
std::vector<BlockOffsets> add_flow(ParameterLayout& layout, const std::string& prefix,
                                   const FlowDescription& flow);

/// The layout of a flow alone, under the reference's names.
struct FlowLayout : ParameterLayout {
  explicit FlowLayout(const FlowDescription& flow) : blocks(add_flow(*this, "chain", flow)) {}

  std::vector<BlockOffsets> blocks;
};

}  // namespace ffjord
