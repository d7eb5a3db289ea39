// The weights of a block's net as they stand in the flat buffer, tensor by tensor.
#pragma once

#include <cstddef>
#include <vector>

#include "core/block_plan.h"

namespace ffjord::cpu {

struct ParameterRange {
  std::size_t offset = 0, size = 0;
};

/// All tensors of the block but the end time. They stand behind it in the order in which a flow of
/// this block alone lays them out.
inline std::vector<ParameterRange> parameter_ranges(const BlockContext<float>& context) {
  const ParameterLayout alone(FlowDescription{context.shape, {context.cnf}, context.context});
  std::vector<ParameterRange> ranges;
  for (const Parameter& parameter : alone.parameters)
    if (parameter.role != Role::EndTime)
      ranges.push_back({context.offsets.sqrt_end_time + parameter.offset, parameter.size});
  return ranges;
}

}  // namespace ffjord::cpu
