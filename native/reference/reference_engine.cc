#include "reference/reference_engine.h"

#include "core/host_flow.h"
#include "reference/reference_block.h"

namespace ffjord::reference {

Engine engine() {
  Engine engine;
  engine.name = "reference";
  engine.description = "float64, plain loops, 1 thread";
  engine.supports_convolutions = true;
  engine.float64 = true;
  engine.create = [](const FlowDescription& description, std::optional<std::uint64_t> seed,
                     const EngineOptions&) {
    return make_host_flow<double>(description, seed, [](const BlockPlace<double>& place) {
      return std::make_unique<ReferenceBlock>(place);
    });
  };
  return engine;
}

}  // namespace ffjord::reference
