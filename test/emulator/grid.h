// Runs the blocks of a launch: a thread is a fiber that runs until it has to wait for others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "fiber.h"
#include "runtime_api.h"

namespace emulator {

/// The order in which waiting threads go on, and when asynchronous copies take effect: as late as
/// they may, or at once. Results must not depend on it.
struct Schedule {
  enum Kind { Forward, Reversed, Seeded } kind = Forward;
  std::uint64_t seed = 0;
  bool copies_early() const { return kind == Reversed || (kind == Seeded && seed % 2 == 1); }
};

/// Runs a launch to its end. Returns what went wrong, in words; empty if nothing did.
std::string run_grid(const Launch& launch, const Schedule& schedule);

/// Makes the launch that runs fail, and does not return. For the functions that kernels call.
[[noreturn]] void fail(const std::string& reason);

/// Waits until every lane of `mask` has come to the same `complete`, which the last lane to come
/// runs on what all lanes gave; lanes that are not in the mask give nullptr.
using Complete = void (*)(void* (&given)[32]);
void meet_warp(unsigned mask, void* given, Complete complete, const char* operation);
/// All lanes of the running thread's warp.
unsigned whole_warp();

/// A copy into shared memory that takes effect when the thread waits for it.
struct PendingCopy {
  void* target;
  const void* source;
  int bytes, group;
};

}  // namespace emulator
