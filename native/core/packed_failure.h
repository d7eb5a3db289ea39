// A failure as bytes, so that the ranks of a group throw what one of them met.
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <vector>

namespace ffjord {

/// Code, message, and what a SolveFailure or OutsideSupport has besides.
std::vector<std::byte> packed(const std::exception_ptr& failure);

/// The same on another rank, whose message names the first.
std::exception_ptr unpacked(std::span<const std::byte> bytes, int rank);

}  // namespace ffjord
