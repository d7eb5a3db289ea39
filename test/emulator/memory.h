// The memory of the emulated device. The host cannot touch it: its pages have no access while no
// kernel and no copy runs. Fresh memory is poisoned and every array has guard zones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace emulator {

/// As a float, a half and a double this is NaN, as an integer -1.
inline constexpr int kPoison = 0xFF;
/// What guard zones hold: NaN as a float or a half too, so that reading past an array shows in
/// values.
inline constexpr std::uint16_t kGuard = 0xFFA5;

void write_guard(unsigned char* zone, std::size_t bytes);
bool guard_is_whole(const unsigned char* zone, std::size_t bytes);

class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t capacity);

  /// nullptr where it does not fit.
  void* allocate(std::size_t bytes);
  /// False for an address that `allocate` did not give.
  bool release(void* memory);
  std::size_t capacity() const { return capacity_; }
  std::size_t used() const { return used_; }

  /// Whether the address lies in the device's address space at all.
  bool owns(std::uintptr_t address) const { return address - base_ < kAddressSpace; }
  /// Whether [address, address + bytes) lies within one living array.
  bool holds(const void* address, std::size_t bytes) const;

  /// What was written outside of an array, in words; empty if nothing was.
  std::string overrun() const;

  /// All arrays of the device one after another, for running a launch twice.
  std::vector<unsigned char> snapshot() const;
  void restore(const std::vector<unsigned char>& values);
  /// Where two snapshots differ, in words; empty where they do not.
  std::string difference(const std::vector<unsigned char>& a,
                         const std::vector<unsigned char>& b) const;

  void open();   ///< gives access; nests
  void close();  ///< takes it away

 private:
  /// Runs `work`, which touches only [start, start + bytes).
  void with_access(std::uintptr_t start, std::size_t bytes,
                   const std::function<void()>& work) const;

  static constexpr std::uintptr_t kAddressSpace = std::uintptr_t{1} << 36;
  static constexpr std::size_t kZone = 256;  // of guard on each side; also the alignment
  std::uintptr_t base_ = 0;
  std::size_t capacity_, used_ = 0, opened_ = 0;
  std::uintptr_t top_ = 0;                            // end of what was ever used
  std::map<std::uintptr_t, std::size_t> arrays_;      // address → bytes
  std::multimap<std::size_t, std::uintptr_t> holes_;  // bytes of a given-back block → its start
};

/// Gives access to the device's memory for a scope.
class Opened {
 public:
  explicit Opened(DeviceMemory& memory) : memory_(memory) { memory_.open(); }
  ~Opened() { memory_.close(); }
  Opened(const Opened&) = delete;

 private:
  DeviceMemory& memory_;
};

}  // namespace emulator
