#include "core/host_flow.h"
#include "cuda/cuda_engine.h"
#include "cuda/device.h"
#include "cuda/device_block.h"

namespace ffjord::cuda {

std::vector<Engine> engines() {
  std::vector<Engine> engines;
  for (const Device& device : devices()) {
    Engine engine;
    engine.name = device.name;
    engine.description = device.description;
    engine.unusable = device.unusable;
    engine.create = [index = device.index](const FlowDescription& description, std::uint64_t seed,
                                           const EngineOptions&) {
      return make_host_flow<float>(description, seed, [=](const BlockContext<float>& context) {
        return std::make_unique<DeviceBlock>(context, index);
      });
    };
    engines.push_back(std::move(engine));
  }
  return engines;
}

}  // namespace ffjord::cuda
