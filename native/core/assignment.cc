#include "core/assignment.h"

#include <limits>

namespace ffjord {

std::vector<std::size_t> optimal_assignment(std::span<const double> cost, std::size_t n) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // Column n stands for the row that looks for a column.
  std::vector<std::size_t> row_of(n + 1, n), previous(n + 1);
  std::vector<double> row_potential(n + 1), column_potential(n + 1);
  std::vector<double> distance(n + 1);
  std::vector<char> reached(n + 1);

  for (std::size_t row = 0; row < n; ++row) {
    row_of[n] = row;
    std::size_t column = n;
    std::fill(distance.begin(), distance.end(), kInfinity);
    std::fill(reached.begin(), reached.end(), 0);
    do {
      reached[column] = 1;
      const std::size_t from = row_of[column];
      double step = kInfinity;
      std::size_t next = n;
      for (std::size_t j = 0; j < n; ++j) {
        if (reached[j]) continue;
        const double reduced = cost[from * n + j] - row_potential[from] - column_potential[j];
        if (reduced < distance[j]) {
          distance[j] = reduced;
          previous[j] = column;
        }
        if (distance[j] < step) {
          step = distance[j];
          next = j;
        }
      }
      for (std::size_t j = 0; j <= n; ++j) {
        if (reached[j]) {
          row_potential[row_of[j]] += step;
          column_potential[j] -= step;
        } else {
          distance[j] -= step;
        }
      }
      column = next;
    } while (row_of[column] != n);
    // Back along the path, every column takes the row of the one before it.
    while (column != n) {
      row_of[column] = row_of[previous[column]];
      column = previous[column];
    }
  }

  std::vector<std::size_t> column_of(n);
  for (std::size_t j = 0; j < n; ++j) column_of[row_of[j]] = j;
  return column_of;
}

}  // namespace ffjord
