// The one emulated device: its memory, and how a launch runs with all checks.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "grid.h"
#include "memory.h"

namespace emulator {

/// What the environment asks for.
struct Configuration {
  std::size_t memory = std::size_t{1} << 30;  ///< FFJORD_EMULATOR_MEMORY, in MiB
  bool eager = false;   ///< FFJORD_EMULATOR_STREAMS=eager: work runs when put on its stream
  int capability = 90;  ///< FFJORD_EMULATOR_CAPABILITY: 80 for a card of compute capability 8.0
  Schedule schedule;    ///< FFJORD_EMULATOR_SCHEDULE=forward, reversed, or a seed
  enum { None, Some, All } races = Some;  ///< FFJORD_EMULATOR_RACES=none, some, all
  std::string coverage;  ///< FFJORD_EMULATOR_COVERAGE: a file for the names of kernels that ran
};

/// What the device is made with: what the environment asks for, unless a check sets other values
/// before the first use.
Configuration& first_configuration();

class Device {
 public:
  Device();

  /// Whoever touches the device holds this.
  std::recursive_mutex lock;
  const Configuration configuration;
  DeviceMemory memory;
  std::map<std::uintptr_t, std::size_t> pinned;  ///< address → bytes of pinned host memory
  std::vector<unsigned> conditions;              ///< of graphs
  std::string fault;                             ///< what the last failed launch did

  /// Runs a launch. Returns false where it did what a kernel may not; `fault` says what.
  bool run(const Launch& launch);
  bool is_pinned(std::uintptr_t address) const;
  /// How often a kernel ran so far.
  std::uint64_t runs(const std::string& name) const {
    const auto found = runs_.find(name);
    return found == runs_.end() ? 0 : found->second;
  }

 private:
  /// All that a kernel can change.
  struct State {
    std::vector<unsigned char> memory;
    std::vector<unsigned char> pinned;
    std::vector<unsigned> conditions;
  };
  State state() const;
  void restore(const State& state);
  std::string difference(const State& a, const State& b) const;

  bool runs_twice(const std::string& name, std::uint64_t run) const;
  Schedule other_schedule(std::uint64_t run) const;
  std::string run_once(const Launch& launch, const Schedule& schedule);
  void note(const std::string& name) const;

  std::map<std::string, std::uint64_t> runs_;  // of each kernel
};

Device& device();

}  // namespace emulator
