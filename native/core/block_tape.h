// What a block keeps of a solve for its pullback, and for commit.
#pragma once

#include <cstddef>

namespace ffjord {

/// Each kind of block derives what it needs.
struct BlockTape {
  virtual ~BlockTape() = default;
  /// On the host, but for the states of rows.
  virtual std::size_t kept_bytes() const { return 0; }

  bool reverse = false;  ///< base → data
};

}  // namespace ffjord
