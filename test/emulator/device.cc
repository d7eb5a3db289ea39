#include "device.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

namespace emulator {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Configuration from_environment() {
  Configuration configuration;
  if (const auto memory = variable("FFJORD_EMULATOR_MEMORY"); !memory.empty())
    configuration.memory = std::stoull(std::string(memory)) << 20;
  if (const auto capability = variable("FFJORD_EMULATOR_CAPABILITY"); !capability.empty())
    configuration.capability = std::stoi(std::string(capability));
  configuration.eager = variable("FFJORD_EMULATOR_STREAMS") == "eager";
  const auto schedule = variable("FFJORD_EMULATOR_SCHEDULE");
  if (schedule == "reversed")
    configuration.schedule.kind = Schedule::Reversed;
  else if (!schedule.empty() && schedule != "forward")
    configuration.schedule = {Schedule::Seeded, std::stoull(std::string(schedule))};
  const auto races = variable("FFJORD_EMULATOR_RACES");
  if (races == "none") configuration.races = Configuration::None;
  if (races == "all") configuration.races = Configuration::All;
  configuration.coverage = variable("FFJORD_EMULATOR_COVERAGE");
  return configuration;
}

constexpr std::size_t kLargestSnapshot = 64 << 20;

}  // namespace

Device& device() {
  static Device& only = *new Device;  // outlives whatever still holds memory at exit
  return only;
}

Configuration& first_configuration() {
  static Configuration& only = *new Configuration(from_environment());
  return only;
}

Device::Device() : configuration(first_configuration()), memory(configuration.memory) {}

bool Device::is_pinned(std::uintptr_t address) const {
  const auto next = pinned.upper_bound(address);
  if (next == pinned.begin()) return false;
  const auto& [start, bytes] = *std::prev(next);
  return address < start + bytes;
}

Device::State Device::state() const {
  State state{memory.snapshot(), {}, conditions};
  for (const auto& [start, bytes] : pinned) {
    const auto* values = reinterpret_cast<const unsigned char*>(start);
    state.pinned.insert(state.pinned.end(), values, values + bytes);
  }
  return state;
}

void Device::restore(const State& state) {
  memory.restore(state.memory);
  const unsigned char* next = state.pinned.data();
  for (const auto& [start, bytes] : pinned) {
    std::memcpy(reinterpret_cast<void*>(start), next, bytes);
    next += bytes;
  }
  conditions = state.conditions;
}

std::string Device::difference(const State& a, const State& b) const {
  if (a.memory != b.memory) return memory.difference(a.memory, b.memory);
  if (a.pinned != b.pinned) return "pinned memory";
  if (a.conditions != b.conditions) return "the condition of a loop";
  return "";
}

bool Device::runs_twice(const std::string&, std::uint64_t run) const {
  if (configuration.races == Configuration::None || memory.used() > kLargestSnapshot) return false;
  return configuration.races == Configuration::All || run <= 3 || std::has_single_bit(run);
}

Schedule Device::other_schedule(std::uint64_t run) const {
  if (configuration.schedule.copies_early()) return {Schedule::Forward};
  return run % 2 == 0 ? Schedule{Schedule::Seeded, run} : Schedule{Schedule::Reversed};
}

std::string Device::run_once(const Launch& launch, const Schedule& schedule) {
  const std::string failure = run_grid(launch, schedule);
  return failure.empty() ? memory.overrun() : failure;
}

bool Device::run(const Launch& launch) {
  const Opened opened(memory);
  const std::string name = launch.name;
  const std::uint64_t run = ++runs_[name];
  if (run == 1) note(name);
  std::string failure;
  if (!runs_twice(name, run)) {
    failure = run_once(launch, configuration.schedule);
  } else {
    const State before = state();
    failure = run_once(launch, configuration.schedule);
    if (failure.empty()) {
      const State after = state();
      restore(before);
      failure = run_once(launch, other_schedule(run));
      const std::string differs = failure.empty() ? difference(after, state()) : "";
      if (!differs.empty()) failure = "its result depends on the order of threads: " + differs;
    }
  }
  if (!failure.empty()) fault = "kernel " + name + ": " + failure;
  return failure.empty();
}

void Device::note(const std::string& name) const {
  if (!configuration.coverage.empty())
    std::ofstream(configuration.coverage, std::ios::app) << name + "\n" << std::flush;
}

}  // namespace emulator
