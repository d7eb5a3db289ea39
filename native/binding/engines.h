// The one list of devices that flows can run on.
#pragma once

#include <string_view>
#include <vector>

#include "core/engine.h"

namespace ffjord::binding {

/// Asked for once a process; the first that is usable is the best one.
const std::vector<Engine>& engines();

/// Throws Error: InvalidArgument for an unknown name, Unsupported for a device that cannot be used.
const Engine& engine(std::string_view name);

/// What the CPU engine is on this machine.
struct CpuReport {
  std::string_view instruction_set;  ///< in use
  std::vector<std::string_view> instruction_sets;
  int threads = 0;
};
CpuReport cpu_report();

}  // namespace ffjord::binding
