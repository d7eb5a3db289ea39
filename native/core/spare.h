// Memory that is used again: fresh pages of arrays that a batch needs anew cost as much as some
// layers, two microseconds for four kilobytes.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ffjord {

/// Objects that several threads take and give back. Those taken may outlive it through a shared
/// pointer to it.
template <class Memory>
class Spare {
 public:
  /// One given back before, or else what `make` makes.
  template <class Make>
  Memory take(const Make& make) {
    {
      const std::lock_guard lock(mutex_);
      if (!memory_.empty()) {
        Memory taken = std::move(memory_.back());
        memory_.pop_back();
        return taken;
      }
    }
    return make();
  }
  Memory take() {
    return take([] { return Memory(); });
  }
  /// From destructors, too: where there is no memory to note it, it goes.
  void give_back(Memory memory) noexcept try {
    const std::lock_guard lock(mutex_);
    memory_.push_back(std::move(memory));
  } catch (...) {
  }

 private:
  std::mutex mutex_;
  std::vector<Memory> memory_;
};

}  // namespace ffjord
