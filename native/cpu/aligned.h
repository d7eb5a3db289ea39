// Memory whose first element starts a cache line.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace ffjord::cpu {

inline constexpr std::align_val_t kCacheLine{64};

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kCacheLine));
  }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, kCacheLine); }
  bool operator==(const CacheLineAllocator&) const { return true; }
};

using AlignedFloats = std::vector<float, CacheLineAllocator<float>>;

}  // namespace ffjord::cpu
