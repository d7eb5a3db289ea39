#include "binding/engines.h"

#include <utility>

#include "core/errors.h"
#include "cpu/cpu_engine.h"
#include "cpu/processors.h"
#include "cpu/tile_net.h"
#include "reference/reference_engine.h"
#ifdef FFJORD_CUDA
#include "cuda/cuda_engine.h"
#endif

namespace ffjord::binding {

const std::vector<Engine>& engines() {
  static const std::vector<Engine> all = [] {
    std::vector<Engine> list = {cpu::engine()};
#ifdef FFJORD_CUDA
    for (Engine& engine : cuda::engines()) list.push_back(std::move(engine));
#endif
    list.push_back(reference::engine());
    return list;
  }();
  return all;
}

const Engine& engine(std::string_view name) {
  std::string known;
  for (const Engine& candidate : engines()) {
    if (candidate.name == name) {
      if (!candidate.unusable.empty()) throw Error(ErrorCode::Unsupported, candidate.unusable);
      return candidate;
    }
    known += (known.empty() ? "" : ", ") + candidate.name;
  }
  throw Error(ErrorCode::InvalidArgument,
              "unknown device '" + std::string(name) + "'; known: " + known);
}

CpuReport cpu_report() {
  const auto sets = cpu::instruction_sets();
  return {sets.front(), {sets.begin(), sets.end()}, cpu::thread_count(0)};
}

}  // namespace ffjord::binding
