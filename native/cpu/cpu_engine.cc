#include "cpu/cpu_engine.h"

#include <string>

#include "core/host_flow.h"
#include "core/make_vae.h"
#include "cpu/cpu_block.h"
#include "cpu/feed_forward.h"
#include "cpu/processors.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu {
namespace {

std::string spelled(std::string_view instruction_set) {
  if (instruction_set == "avx512") return "AVX-512";
  if (instruction_set == "avx2") return "AVX2";
  return std::string(instruction_set);
}

HostMakers<float> makers(const EngineOptions& options) {
  const int threads = thread_count(options.threads);
  return {[=](const BlockPlace<float>& place) {
            return std::make_unique<CpuBlock>(place, instruction_sets().front(), threads);
          },
          [=](const FeedForwardPlace<float>& place) {
            return make_feed_forward(place, instruction_sets().front(), threads);
          }};
}

}  // namespace

std::unique_ptr<FlowDevice<float>> make_device(const EngineOptions& options) {
  return std::make_unique<HostDevice<float>>(makers(options));
}

Engine engine() {
  Engine engine;
  engine.name = "cpu";
  engine.supports_convolutions = true;
  try {
    const int threads = thread_count(0);
    engine.description = "float32, " + spelled(instruction_sets().front()) + ", " +
                         std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  } catch (const Error& error) {
    engine.description = "float32";
    engine.unusable = error.what();
  }
  engine.create = [](const FlowDescription& description, std::optional<std::uint64_t> seed,
                     const EngineOptions& options) {
    return make_host_flow<float>(description, seed, makers(options));
  };
  engine.create_vae = [](const VaeDescription& description, std::optional<std::uint64_t> seed,
                         const EngineOptions& options) {
    return make_vae<float>(description, seed, make_device(options));
  };
  return engine;
}

}  // namespace ffjord::cpu
