// The assignment of rows to columns that costs least: exact minibatch optimal transport.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ffjord {

/// `cost` is (n, n), row-major and finite; returns the column of each row. Shortest augmenting
/// paths with potentials (Kuhn 1955; Jonker and Volgenant 1987), at most O(n³).
std::vector<std::size_t> optimal_assignment(std::span<const double> cost, std::size_t n);

}  // namespace ffjord
