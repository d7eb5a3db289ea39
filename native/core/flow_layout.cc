#include "core/flow_layout.h"

namespace ffjord {

std::vector<BlockOffsets> add_flow(ParameterLayout& layout, const std::string& prefix,
                                   const FlowDescription& flow) {
  const auto shapes = validate(flow);
  std::vector<BlockOffsets> blocks;
  for (std::size_t i = 0; i < flow.blocks.size(); ++i) {
    const std::string name = prefix + "." + std::to_string(i);
    BlockOffsets at;
    if (const auto* cnf = std::get_if<Cnf>(&flow.blocks[i])) {
      at.sqrt_end_time = layout.add(name + ".sqrt_end_time", {1}, Role::EndTime, cnf->train_time);
      at.net =
          layout.add_net(name + ".odefunc.diffeq", plan_net(cnf->net, shapes[i], flow.context));
    } else if (std::holds_alternative<BatchNorm>(flow.blocks[i])) {
      const std::size_t size = element_count(shapes[i]);
      at.log_scale = layout.add(name + ".weight", {size}, Role::Scale);
      at.bias = layout.add(name + ".bias", {size}, Role::Bias);
      at.running_mean = layout.add_buffer(name + ".running_mean", {size});
      at.running_var = layout.add_buffer(name + ".running_var", {size});
      at.step = layout.add_buffer(name + ".step", {1});
    }
    blocks.push_back(std::move(at));
  }
  return blocks;
}

}  // namespace ffjord
