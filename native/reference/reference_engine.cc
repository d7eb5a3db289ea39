#include "reference/reference_engine.h"

#include "core/host_flow.h"
#include "core/make_vae.h"
#include "reference/feed_forward.h"
#include "reference/reference_block.h"

namespace ffjord::reference {
namespace {

HostMakers<double> makers() {
  return {[](const BlockPlace<double>& place) { return std::make_unique<ReferenceBlock>(place); },
          make_feed_forward};
}

}  // namespace

Engine engine() {
  Engine engine;
  engine.name = "reference";
  engine.description = "float64, plain loops, 1 thread";
  engine.supports_convolutions = true;
  engine.float64 = true;
  engine.create = [](const FlowDescription& description, std::optional<std::uint64_t> seed,
                     const EngineOptions&) {
    return make_host_flow<double>(description, seed, makers());
  };
  engine.create_vae = [](const VaeDescription& description, std::optional<std::uint64_t> seed,
                         const EngineOptions&) {
    return make_vae<double>(description, seed, std::make_unique<HostDevice<double>>(makers()));
  };
  return engine;
}

}  // namespace ffjord::reference
