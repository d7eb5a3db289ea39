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

/// The same of a warpgroup: four warps, the first of them a multiple of four.
constexpr unsigned kWarpgroup = 128;
using CompleteGroup = void (*)(void* (&given)[kWarpgroup]);
void meet_warpgroup(void* given, CompleteGroup complete, const char* operation);

/// The shared memory of the running block.
struct SharedMemory {
  unsigned char* start;
  std::size_t bytes;
};
SharedMemory block_memory();
bool copies_early();

/// A product of a warpgroup, as one of its threads asked for it.
struct PendingProduct {
  float (*c)[4];  // fragments
  int fragments;
  std::uint64_t a, b;
  bool committed;
};
struct ThreadProducts {
  std::vector<PendingProduct> pending;
  bool shown = false, begun = false;
};
ThreadProducts& products_of_thread();

/// A copy into shared memory that takes effect when the thread waits for it.
struct PendingCopy {
  void* target;
  const void* source;
  int bytes, group;
};

}  // namespace emulator
