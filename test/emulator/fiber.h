// A thread of a kernel: a stack of its own, and a switch between stacks that saves no more than the
// calling convention asks for.
#pragma once

#include <cstddef>

namespace emulator {

/// Leaves the running stack, whose place is kept in `*from`, and goes on where `to` was left.
void switch_stacks(void** from, void* to);

/// Stacks for fibers, kept for the next launch. A page without access under each one catches
/// overflow.
class Stacks {
 public:
  /// Where stack `index` has to be entered so that `entry` runs on it, which must not return.
  void* prepare(std::size_t index, void (*entry)());

 private:
  void grow(std::size_t count);
  static constexpr std::size_t kBytes = 256 * 1024, kPage = 4096, kBatch = 256;
  std::size_t count_ = 0;
  unsigned char* batches_[4096] = {};
};

}  // namespace emulator
