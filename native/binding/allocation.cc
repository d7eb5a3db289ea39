// Every allocation of the addon asks whether the memory exists. Containers are many and each may
// get its size from a caller, so this is their one common place; the addon's own operators are seen
// by nobody else (native/exports.map). AddressSanitizer brings its own.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)

#include <algorithm>
#include <cstdlib>
#include <new>

#include "core/memory.h"

void* operator new(std::size_t size) {
  ffjord::count_allocation(size);
  if (void* const memory = std::malloc(std::max<std::size_t>(size, 1))) return memory;
  throw std::bad_alloc();
}

void* operator new(std::size_t size, std::align_val_t alignment) {
  ffjord::count_allocation(size);
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<std::size_t>(alignment), size) == 0) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#endif
