#include "core/memory.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <utility>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "core/control_groups.h"
#include "core/errors.h"

namespace ffjord {
namespace {

constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kAskEvery = std::size_t{1} << 26;

std::atomic<std::uint64_t> promised = 0;

// The number behind `name` in a file of lines "name number".
std::uint64_t number_of(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.compare(0, name.size(), name) == 0 && line[name.size()] == ' ')
      return std::strtoull(line.c_str() + name.size(), nullptr, 10);
  return 0;
}

// Files of the system that the kernel drops where a group needs memory.
std::uint64_t droppable(const std::string& folder) {
  const std::string path = folder + "/memory.stat";
  return number_of(path, "inactive_file") + number_of(path, "active_file");
}

// What a group's limit leaves; its files have one name for each version of control groups.
std::uint64_t left_in(const std::string& folder, const char* limit_file, const char* usage_file) {
  std::uint64_t limit = 0, usage = 0;
  // "max" is no number
  if (!(std::ifstream(folder + limit_file) >> limit)) return kUnknown;
  if (!(std::ifstream(folder + usage_file) >> usage)) return kUnknown;
  if (limit >= kUnknown / 4) return kUnknown;
  usage -= std::min(usage, droppable(folder));
  return limit - std::min(limit, usage);
}

std::uint64_t left_on_the_machine() {
  const std::uint64_t kilobytes = number_of("/proc/meminfo", "MemAvailable:");
  return kilobytes > 0 ? 1024 * kilobytes : kUnknown;
}

// For who shares a machine, and for tests of what is done where memory is short.
std::uint64_t left_by_the_environment() {
  static const std::uint64_t limit = [] {
    const char* bytes = std::getenv("FFJORD_MEMORY");
    const std::uint64_t given = bytes ? std::strtoull(bytes, nullptr, 10) : 0;
    return given > 0 ? given : kUnknown;
  }();
  return limit;
}

std::string gigabytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, bytes < 1e8 ? "%.3f GB" : "%.1f GB", bytes * 1e-9);
  return text;
}

[[noreturn]] void refuse(const std::string& wanted, std::uint64_t left) {
  throw Error(ErrorCode::OutOfMemory,
              "this needs " + wanted + " of memory, and " + gigabytes(static_cast<double>(left)) +
                  " are left; use a smaller batch, fewer samples, times or probes, or gradient "
                  "'adjoint' if it is a gradient");
}

// All idle memory, a list through its members: neither needs a constructor at run time or a
// destructor, as flows come and go on other threads when the process ends. Nothing is allocated
// under the lock, which an allocation may take.
constinit std::mutex idle_mutex;
constinit IdleMemory* first_idle = nullptr;

bool exists(std::uint64_t bytes, std::uint64_t& left) {
  const std::uint64_t available = available_memory();
  left = available - std::min(available, promised.load());
  return bytes <= left - left / 16;  // some is left for others
}

}  // namespace

IdleMemory::IdleMemory(std::function<void()> release) : release_(std::move(release)) {
  const std::lock_guard lock(idle_mutex);
  next_ = std::exchange(first_idle, this);
}

IdleMemory::~IdleMemory() {
  const std::lock_guard lock(idle_mutex);
  IdleMemory** link = &first_idle;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
}

void release_idle_memory() {
  const std::lock_guard lock(idle_mutex);
  for (IdleMemory* memory = first_idle; memory; memory = memory->next_) memory->release_();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

std::uint64_t available_memory() {
  std::uint64_t least = std::min(left_on_the_machine(), left_by_the_environment());
  for (const std::string& folder : control_group_folders("memory"))
    least = std::min({least, left_in(folder, "/memory.max", "/memory.current"),
                      left_in(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes")});
  return least;
}

void require_memory(std::uint64_t bytes) {
  std::uint64_t left = 0;
  if (exists(bytes, left)) return;
  release_idle_memory();
  if (!exists(bytes, left)) refuse(gigabytes(static_cast<double>(bytes)), left);
}

std::size_t product_of_sizes(std::initializer_list<std::size_t> sizes) {
  std::size_t product = 1;
  double bytes = sizeof(float);
  bool holds = true;
  for (std::size_t size : sizes) {
    holds = !__builtin_mul_overflow(product, size, &product) && holds;
    bytes *= static_cast<double>(size);
  }
  if (!holds) refuse(gigabytes(bytes), available_memory());
  return product;
}

void count_allocation(std::size_t bytes) {
  thread_local std::size_t counted = 0;
  if (bytes < kAskEvery && (counted += bytes) < kAskEvery) return;
  counted = 0;
  require_memory(bytes);
}

PromisedMemory::~PromisedMemory() { promised -= bytes_; }

void PromisedMemory::add(std::uint64_t bytes) {
  if (bytes >= kAskEvery) require_memory(bytes);
  promised += bytes;
  bytes_ += bytes;
}

}  // namespace ffjord
