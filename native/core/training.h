// A burst of training iterations, whatever they train: each a batch, its loss and a step, until the
// burst's time is up. The caller (fit) chooses batches, learning rates and what to do between
// bursts.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/fingerprint.h"
#include "core/group.h"

namespace ffjord {

struct Burst {
  std::span<const std::uint32_t> indices;      ///< of all batches, one after the other
  std::span<const std::uint32_t> batch_sizes;  ///< one an iteration
  std::span<const double> learning_rates;      ///< one an iteration
  Settings settings;
  OptimizerOptions optimizer;  ///< `step` and `learning_rate` are those of the first iteration
  std::uint64_t noise_seed = 0;
  std::uint32_t first_call = 0;  ///< noise call of the first iteration; one more an iteration
  double seconds = 0.05;         ///< start no iteration after so long
  bool skip_failures = false;    ///< a batch whose loss fails is counted, not thrown
  std::stop_token stop;
  /// Processes that train together: each has the whole of every batch at hand and takes its share.
  /// A stop of one ends the burst of all behind the same iteration.
  Group* group = nullptr;
  /// Each has rows of its own at hand, its shares of as many batches.
  bool sharded = false;
  /// Fingerprint of what is trained on, which all of them need the same of.
  std::uint64_t data = 0;

  /// For the solves of an iteration: with others, only the end of an iteration is a place to stop.
  std::stop_token stop_within() const { return group ? std::stop_token() : stop; }
};

/// What every iteration tells, whatever it trains.
struct IterationRecord {
  double loss = 0;
  double evaluations = 0, backward_evaluations = 0, accepted = 0, rejected = 0;
  double gradient_norm = 0, seconds = 0;
  bool skipped = false;

  /// Adds what a loss counted, of a share of the batch.
  void count(const SolveStatistics& forward, const SolveStatistics& backward, double share = 1) {
    evaluations += share * forward.evaluations;
    backward_evaluations += share * backward.evaluations;
    accepted += share * forward.accepted;
    rejected += share * forward.rejected;
  }
};

/// The rows of one iteration, and where its noise comes from.
struct Batch {
  std::size_t number = 0;  ///< within the burst
  std::span<const std::uint32_t> indices;
  Noise noise;
  /// How many rows each rank has, where those at hand are its own; else empty.
  std::span<const std::size_t> rank_rows = {};

  /// The fewest that a rank has at hand.
  std::size_t least_rows() const {
    return rank_rows.empty() ? indices.size() : *std::ranges::min_element(rank_rows);
  }
};

/// Whether other weights may have no such failure.
inline bool is_by_weights(const Error& error) {
  const auto* outside = dynamic_cast<const OutsideSupport*>(&error);
  return outside ? outside->by_weights : error.code == ErrorCode::SolveFailed;
}

/// Throws where ranks have planned different bursts.
void require_agreement(const Burst& burst, Group& group);

/// How many rows each rank has of each batch of a sharded burst, (batches, ranks).
std::vector<std::size_t> rows_of_ranks(const Burst& burst, Group& group);

/// Every so many iterations the weights of all ranks are compared, and the statistics that batch
/// norm keeps beside them.
inline constexpr std::uint32_t kComparedIterations = 100;

template <class Model>
void compare_weights(Model& model, Group& group, std::uint32_t call) {
  const auto compare = [&](Buffer buffer, std::size_t count, const std::string& what) {
    std::vector<double> values(count);
    model.read(buffer, values);
    group.require_same(fingerprint(std::span<const double>(values)),
                       what + " behind call " + std::to_string(call) +
                           ", as those of machines do which round differently");
  };
  compare(Buffer::Parameters, model.layout().parameter_count, "their weights");
  if (const std::size_t count = model.layout().buffer_count)
    compare(Buffer::Statistics, count, "the statistics of batch or spectral norm");
}

/// Calls `iterate`: false where its loss can be called again, in smaller parts.
template <class Iterate, class Loss>
bool succeeds(const Iterate& iterate, Loss& loss, const Batch& batch) {
  if constexpr (requires(const Error& error) { loss.divides(error, batch); }) {
    try {
      iterate();
    } catch (const Error& error) {
      if (!loss.divides(error, batch)) throw;
      return false;
    }
  } else {
    iterate();
  }
  return true;
}

/// At least one iteration; a stop between iterations ends the burst early, without an error.
/// `loss(batch)` leaves the gradients in the model's buffer and tells of the batch; where it has
/// `divides(error, batch)`, and that is true, it is called again after such an error.
template <class Record, class Model, class Loss>
std::vector<Record> run_burst(const Burst& burst, Model& model, Loss&& loss) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  };
  const auto together = [&](const auto& body) {
    return burst.group ? burst.group->together(body) : body();
  };
  const Clock::time_point start = Clock::now();
  std::vector<std::size_t> rank_rows;
  together([&] {
    if (burst.group) require_agreement(burst, *burst.group);
    if (burst.group && burst.sharded) rank_rows = rows_of_ranks(burst, *burst.group);
  });
  std::vector<Record> records;
  // A device is not waited for behind a step: its norm is read when the next iteration is done.
  PendingNorm norm;
  const auto settle = [&] {
    if (norm) records.back().gradient_norm = norm();
    norm = nullptr;
  };
  Clock::time_point began = start;
  OptimizerOptions optimizer = burst.optimizer;
  std::size_t first = 0;
  // Whether another iteration may follow: as all ranks see it.
  const auto goes_on = [&] {
    Group::Signals signals{burst.stop.stop_requested(), since(start) >= burst.seconds};
    if (burst.group) signals = together([&] { return burst.group->agree(signals); });
    return !signals.stop && !signals.time_up;
  };

  for (std::size_t number = 0; number < burst.batch_sizes.size(); ++number) {
    if (number > 0 && !goes_on()) break;
    began = Clock::now();
    Batch batch{number, burst.indices.subspan(first, burst.batch_sizes[number]), {}};
    batch.noise.seed = burst.noise_seed;
    batch.noise.call = burst.first_call + static_cast<std::uint32_t>(number);
    first += batch.indices.size();
    if (!rank_rows.empty()) {
      const std::size_t ranks = burst.group->size();
      batch.rank_rows = std::span(rank_rows).subspan(number * ranks, ranks);
    }

    Record record;
    PendingNorm next;
    const auto iterate = [&] {
      together([&] {
        record = loss(batch);
        optimizer.learning_rate = burst.learning_rates[number];
        next = model.step(optimizer);
        if (burst.group && (batch.noise.call + 1) % kComparedIterations == 0)
          compare_weights(model, *burst.group, batch.noise.call);
      });
    };
    try {
      while (!succeeds(iterate, loss, batch)) {
      }
      ++optimizer.step;
    } catch (const Error& error) {
      // What went before is reported first; the next burst meets this batch again. A stop in the
      // middle of an iteration undoes nothing: the weights are those of the last step.
      const bool skips = burst.skip_failures && is_by_weights(error);
      if (!skips && (is_by_weights(error) || error.code == ErrorCode::Cancelled) &&
          !records.empty())
        break;
      if (!skips) throw;
      record = {};
      record.skipped = true;
    }
    settle();
    record.seconds = since(began);
    records.push_back(std::move(record));
    norm = std::move(next);
  }
  settle();
  if (!records.empty()) records.back().seconds = since(began);
  return records;
}

}  // namespace ffjord
