// What a block keeps of a solve for its pullback, and for commit.
#pragma once

namespace ffjord {

/// Each kind of block derives what it needs.
struct BlockTape {
  virtual ~BlockTape() = default;

  bool reverse = false;  ///< base → data
};

}  // namespace ffjord
