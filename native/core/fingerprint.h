// Short words for long data, by which processes find out that theirs differ. Not against those who
// want it otherwise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ffjord {

/// 64 bits of bytes, eight at a time (constants of MurmurHash's finaliser); `seed` joins several.
inline std::uint64_t fingerprint(std::span<const std::byte> bytes, std::uint64_t seed = 0) {
  std::uint64_t hash = seed ^ (bytes.size() * 0x9E3779B97F4A7C15u);
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at));
    hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
    hash ^= hash >> 33;
  }
  return hash;
}

template <class Number>
std::uint64_t fingerprint(std::span<const Number> numbers, std::uint64_t seed = 0) {
  return fingerprint(std::as_bytes(numbers), seed);
}

}  // namespace ffjord
