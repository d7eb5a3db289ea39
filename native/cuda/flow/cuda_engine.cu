#include "core/host_flow.h"
#include "core/make_vae.h"
#include "cuda/device/device.h"
#include "cuda/flow/cuda_device.h"
#include "cuda/flow/cuda_engine.h"

namespace ffjord::cuda {

std::vector<Engine> engines(const std::optional<CudaOptions>& options) {
  std::vector<Engine> engines;
  for (const Device& device : devices()) {
    Engine engine;
    engine.name = device.name;
    engine.description = device.description;
    engine.unusable = device.unusable;
    engine.supports_convolutions = true;
    engine.create = [index = device.index, options](const FlowDescription& description,
                                                    std::optional<std::uint64_t> seed,
                                                    const EngineOptions&) {
      return make_flow<float>(
          description, seed,
          std::make_unique<CudaDevice>(index, options ? *options : process_cuda_options()));
    };
    engine.create_vae = [index = device.index, options](const VaeDescription& description,
                                                        std::optional<std::uint64_t> seed,
                                                        const EngineOptions&) {
      return make_vae<float>(
          description, seed,
          std::make_unique<CudaDevice>(index, options ? *options : process_cuda_options()));
    };
    engines.push_back(std::move(engine));
  }
  return engines;
}

}  // namespace ffjord::cuda
