#include "binding/engines.h"

#include <utility>

#include "core/errors.h"
#include "cpu/cpu_engine.h"
#include "cpu/processors.h"
#include "cpu/tile_net.h"
#include "reference/reference_engine.h"
#ifdef FFJORD_CUDA
#include "cuda/flow/cuda_engine.h"
#endif

namespace ffjord::binding {

#ifndef FFJORD_CUDA
namespace {

Engine without_cuda() {
  Engine engine;
  engine.name = "cuda:0";
  engine.description = "float32";
  engine.unusable =
      "this binary was built without CUDA; with nvcc at hand, rebuild the package by "
      "FFJORD_CUDA=1 npm_config_build_from_source=true npm rebuild ffjord";
  return engine;
}

}  // namespace
#endif

const std::vector<Engine>& engines() {
  static const std::vector<Engine> all = [] {
    std::vector<Engine> list = {cpu::engine()};
#ifdef FFJORD_CUDA
    for (Engine& engine : cuda::engines(std::nullopt, cpu::make_device))
      list.push_back(std::move(engine));
#else
    list.push_back(without_cuda());
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
