#include "core/host_flow.h"
#include "core/make_vae.h"
#include "cuda/device/device.h"
#include "cuda/flow/cuda_device.h"
#include "cuda/flow/cuda_engine.h"

namespace ffjord::cuda {

std::vector<Engine> engines(const std::optional<CudaOptions>& options,
                            const MakeHostDevice& make_host) {
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
    engine.create_vae = [index = device.index, options, make_host](
                            const VaeDescription& description, std::optional<std::uint64_t> seed,
                            const EngineOptions& on_host) {
      MakeHost host;
      if (make_host) host = [=] { return make_host(on_host); };
      return make_vae<float>(
          description, seed,
          std::make_unique<CudaDevice>(index, options ? *options : process_cuda_options(), host));
    };
    engines.push_back(std::move(engine));
  }
  return engines;
}

}  // namespace ffjord::cuda
