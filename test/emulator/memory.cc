#include "memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>

namespace emulator {
namespace {

std::uintptr_t guarded_base = 0, guarded_end = 0;
struct sigaction previous_action;

// A host that follows a device pointer stops here with a sentence rather than a bare signal.
void on_fault(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (address >= guarded_base && address < guarded_end) {
    static const char message[] =
        "emulator: an address of the device was used outside of its arrays, or by the host\n";
    [[maybe_unused]] const auto written = write(2, message, sizeof message - 1);
  } else if (previous_action.sa_flags & SA_SIGINFO) {
    return previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    return previous_action.sa_handler(signal);
  }
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  sigaction(signal, &plain, nullptr);  // the access is repeated and ends the process
}

std::size_t rounded(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Whole pages from `start` on; the more of them, the longer it takes.
void protect(std::uintptr_t start, std::size_t bytes, int access) {
  constexpr std::size_t page = 4096;
  const std::uintptr_t first = start / page * page;
  mprotect(reinterpret_cast<void*>(first), rounded(start + bytes - first, page), access);
}

}  // namespace

void write_guard(unsigned char* zone, std::size_t bytes) {
  for (std::size_t i = 0; i + 1 < bytes; i += 2) std::memcpy(zone + i, &kGuard, 2);
}

bool guard_is_whole(const unsigned char* zone, std::size_t bytes) {
  for (std::size_t i = 0; i + 1 < bytes; i += 2)
    if (std::memcmp(zone + i, &kGuard, 2) != 0) return false;
  return true;
}

DeviceMemory::DeviceMemory(std::size_t capacity) : capacity_(capacity) {
  void* space =
      mmap(nullptr, kAddressSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED) throw std::bad_alloc();
  base_ = top_ = reinterpret_cast<std::uintptr_t>(space);
  guarded_base = base_;
  guarded_end = base_ + kAddressSpace;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &previous_action);
}

// A block is [guard][array][rest of the last unit, guard][guard].
void* DeviceMemory::allocate(std::size_t bytes) {
  if (bytes == 0 || used_ + bytes > capacity_) return nullptr;
  const std::size_t block = rounded(bytes, kZone) + 2 * kZone;
  std::uintptr_t start = top_;
  if (const auto hole = holes_.find(block); hole != holes_.end()) {
    start = hole->second;
    holes_.erase(hole);
  } else {
    if (top_ + block > base_ + kAddressSpace) return nullptr;
    top_ += block;
    if (opened_ > 0) protect(start, block, PROT_READ | PROT_WRITE);
  }
  auto* zone = reinterpret_cast<unsigned char*>(start);
  with_access(start, block, [=] {
    write_guard(zone, block);
    std::memset(zone + kZone, kPoison, bytes);
  });
  arrays_.emplace(start + kZone, bytes);
  used_ += bytes;
  return zone + kZone;
}

bool DeviceMemory::release(void* memory) {
  const auto found = arrays_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == arrays_.end()) return false;
  const std::size_t block = rounded(found->second, kZone) + 2 * kZone;
  with_access(found->first, found->second, [=] { std::memset(memory, kPoison, found->second); });
  used_ -= found->second;
  holes_.emplace(block, found->first - kZone);
  arrays_.erase(found);
  return true;
}

bool DeviceMemory::holds(const void* address, std::size_t bytes) const {
  const auto start = reinterpret_cast<std::uintptr_t>(address);
  auto next = arrays_.upper_bound(start);
  if (next == arrays_.begin()) return false;
  const auto& [array, size] = *std::prev(next);
  return start + bytes <= array + size;
}

std::string DeviceMemory::overrun() const {
  for (const auto& [array, bytes] : arrays_) {
    const auto* values = reinterpret_cast<const unsigned char*>(array);
    const std::size_t rest = bytes & 1;  // a guard starts at an even byte
    if (!guard_is_whole(values - kZone, kZone))
      return "wrote before an array of " + std::to_string(bytes) + " bytes";
    if (!guard_is_whole(values + bytes + rest, rounded(bytes, kZone) - bytes - rest + kZone))
      return "wrote past an array of " + std::to_string(bytes) + " bytes";
  }
  return "";
}

std::vector<unsigned char> DeviceMemory::snapshot() const {
  std::vector<unsigned char> values(used_);
  unsigned char* next = values.data();
  for (const auto& [array, bytes] : arrays_) {
    std::memcpy(next, reinterpret_cast<const void*>(array), bytes);
    next += bytes;
  }
  return values;
}

void DeviceMemory::restore(const std::vector<unsigned char>& values) {
  const unsigned char* next = values.data();
  for (const auto& [array, bytes] : arrays_) {
    std::memcpy(reinterpret_cast<void*>(array), next, bytes);
    next += bytes;
  }
}

std::string DeviceMemory::difference(const std::vector<unsigned char>& a,
                                     const std::vector<unsigned char>& b) const {
  std::size_t offset = 0;
  for (const auto& [array, bytes] : arrays_) {
    for (std::size_t i = offset; i < offset + bytes; ++i)
      if (a[i] != b[i])
        return "byte " + std::to_string(i - offset) + " of an array of " + std::to_string(bytes) +
               " bytes";
    offset += bytes;
  }
  return "";
}

void DeviceMemory::open() {
  if (opened_++ == 0 && top_ > base_) protect(base_, top_ - base_, PROT_READ | PROT_WRITE);
}

void DeviceMemory::close() {
  if (--opened_ == 0 && top_ > base_) protect(base_, top_ - base_, PROT_NONE);
}

void DeviceMemory::with_access(std::uintptr_t start, std::size_t bytes,
                               const std::function<void()>& work) const {
  if (opened_ == 0) protect(start, bytes, PROT_READ | PROT_WRITE);
  work();
  if (opened_ == 0) protect(start, bytes, PROT_NONE);
}

}  // namespace emulator
