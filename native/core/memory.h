// What memory there is. Linux gives out more than it has and ends the process that uses it, so that
// std::bad_alloc comes too late: sizes are compared with what exists before they are allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>

namespace ffjord {

/// Bytes that this process may still take, by the machine and by its control groups; the largest
/// number where the system does not tell.
std::uint64_t available_memory();

/// The one place that refuses a size: throws Error(OutOfMemory) unless `bytes` exist beside those
/// that are promised, once what lies idle is given back.
void require_memory(std::uint64_t bytes);

/// The product of sizes; one that no number holds is Error(OutOfMemory), too.
std::size_t product_of_sizes(std::initializer_list<std::size_t> sizes);

/// Counts an allocation of this thread, and requires its memory where it is a large one or
/// completes 64 MiB of small ones: to ask the system takes 50 µs, to clear so much memory 10 ms.
void count_allocation(std::size_t bytes);

/// Memory that was allocated and is written later: the system counts it only then, so what is asked
/// for meanwhile must leave room for it.
class PromisedMemory {
 public:
  PromisedMemory() = default;
  ~PromisedMemory();
  PromisedMemory(const PromisedMemory&) = delete;
  PromisedMemory& operator=(const PromisedMemory&) = delete;

  /// As require_memory, and promises it.
  void add(std::uint64_t bytes);

 private:
  std::uint64_t bytes_ = 0;
};

/// Memory that is kept for its next use. `release` gives it back where others need it; any thread
/// may call it, also one that is about to allocate, so it must not wait for a lock. Until the
/// destructor.
class IdleMemory {
 public:
  explicit IdleMemory(std::function<void()> release);
  ~IdleMemory();
  IdleMemory(const IdleMemory&) = delete;
  IdleMemory& operator=(const IdleMemory&) = delete;

 private:
  friend void release_idle_memory();
  const std::function<void()> release_;
  IdleMemory* next_ = nullptr;
};

/// Gives all of it back to the system; others that make or end idle memory wait meanwhile.
void release_idle_memory();

}  // namespace ffjord
