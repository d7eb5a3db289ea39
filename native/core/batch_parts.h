// Large batches in parts that fit into memory.
#pragma once

#include <algorithm>
#include <utility>

#include "core/engine.h"

namespace ffjord {

inline constexpr std::size_t kRowsAtOnce = 65536;

/// Whether `error` says that memory does not hold so many rows, and fewer may fit.
inline bool wants_fewer_rows(const Error& error, std::size_t rows) {
  return error.code == ErrorCode::OutOfMemory && rows > 1;
}

/// The rows of a half, in whole tiles while there are any: rows of a tile may step together.
inline std::size_t fewer_rows(std::size_t rows) {
  constexpr std::size_t kTile = 32;
  return rows >= 2 * kTile ? rows / 2 / kTile * kTile : rows / 2;
}

/// What `call` returns; rows that its failures name are counted from `first`, but for rows outside
/// of the support where `of_set`, which are named by their numbers in the data set.
template <class Call>
auto numbered_from(std::size_t first, const Call& call, bool of_set = false) {
  try {
    return call();
  } catch (const OutsideSupport& outside) {
    if (of_set) throw;
    throw outside.renumbered([first](std::size_t row) { return first + row; });
  } catch (SolveFailure& failure) {
    for (std::size_t& row : failure.rows) row += first;
    throw;
  }
}

/// Runs `call(part request, first row)` over parts of the batch, of at most `most` rows and of
/// fewer where memory does not hold these, and joins what they count. Noise is that of the whole
/// batch.
template <class Call>
SolveResult in_parts(const SolveRequest& request, std::size_t most, const Call& call) {
  if (!request.noise.given.empty()) return call(request, 0);
  SolveResult joined;
  for (std::size_t first = 0; first < request.batch;) {
    SolveRequest part = request;
    part.batch = std::min(most, request.batch - first);
    part.rows = request.rows.part(first, part.batch, request.batch);
    part.context = request.context.part(first, part.batch, request.batch);
    part.noise.row_offset = request.noise.row_offset + static_cast<std::uint32_t>(first);
    if (const auto& keys = request.noise.keys; !keys.empty())
      part.noise.keys.assign(keys.begin() + first, keys.begin() + first + part.batch);
    SolveResult result;
    try {
      result = numbered_from(
          first, [&] { return call(part, first); }, request.rows.set != nullptr);
    } catch (const Error& error) {
      // Ranks that add up numbers within a call must come to the same calls.
      if (request.share.sums || !wants_fewer_rows(error, part.batch)) throw;
      most = fewer_rows(part.batch);
      continue;
    }
    if (part.batch == request.batch) return result;
    result.statistics.smallest_step_row += first;
    const double weight = double(part.batch) / double(request.batch);
    joined.statistics.add(result.statistics, weight);
    joined.block_evaluations.resize(result.block_evaluations.size());
    joined.block_stiffness.resize(result.block_stiffness.size());
    for (std::size_t i = 0; i < result.block_evaluations.size(); ++i) {
      joined.block_evaluations[i] += weight * result.block_evaluations[i];
      joined.block_stiffness[i] += weight * result.block_stiffness[i];
    }
    joined.traces = std::move(result.traces);
    first += part.batch;
  }
  return joined;
}

}  // namespace ffjord
