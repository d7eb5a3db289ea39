#include "cpu/kept_evaluations.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ffjord::cpu {
namespace {

/// Bytes that all pools and solves hold. They may take half of what they and the rest of this
/// process leave.
std::atomic<std::uint64_t> held = 0;

}  // namespace

EvaluationPool::EvaluationPool() : idle_memory_([this] { release(); }) {}

EvaluationPool::~EvaluationPool() { held -= idle_bytes_; }

void EvaluationPool::release() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  held -= idle_bytes_;
  idle_bytes_ = 0;
  idle_.clear();
}

std::unique_ptr<KeptEvaluation> EvaluationPool::take() {
  std::list<std::unique_ptr<KeptEvaluation>> taken;
  {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    taken.splice(taken.end(), idle_, std::prev(idle_.end()));
    idle_bytes_ -= taken.front()->bytes;
  }
  return std::move(taken.front());
}

void EvaluationPool::give_back(std::unique_ptr<KeptEvaluation> evaluation) {
  std::list<std::unique_ptr<KeptEvaluation>> given;
  given.push_back(std::move(evaluation));
  const std::lock_guard lock(mutex_);
  idle_bytes_ += given.front()->bytes;
  idle_.splice(idle_.end(), given);
}

KeptEvaluations::KeptEvaluations(const TileNet& net, const TracePlan& trace,
                                 const Regularisers& regularisers, const Tableau& tableau,
                                 std::size_t tiles, std::uint64_t unasked,
                                 std::shared_ptr<EvaluationPool> pool)
    : net_(net),
      trace_(trace),
      regularisers_(regularisers),
      tableau_(tableau),
      pool_(std::move(pool)),
      tiles_(tiles),
      limit_(std::max(unasked, pool_->idle_bytes())) {
  for (Tile& tile : tiles_) tile.tried.resize(tableau.end_stage() + 1);
}

KeptEvaluations::~KeptEvaluations() {
  const auto give_back = [&](Stages& stages) {
    for (auto& one : stages)
      if (one) pool_->give_back(std::move(one));
  };
  for (Tile& tile : tiles_) {
    give_back(tile.tried);
    for (Stages& stages : tile.accepted) give_back(stages);
  }
}

bool KeptEvaluations::has_room() {
  if (used_ < limit_) return true;
  if (asked_.exchange(true)) return false;
  const std::uint64_t others = held - std::min<std::uint64_t>(held, used_ + pool_->idle_bytes());
  const std::uint64_t most = (available_memory() + held) / 2;
  limit_ = std::max<std::uint64_t>(limit_, most - std::min(most, others));
  return used_ < limit_;
}

KeptEvaluation* KeptEvaluations::place(std::size_t tile, int stage) {
  auto& place = tiles_[tile].tried[stage];
  if (place) return place.get();
  if (!has_room()) return nullptr;
  place = pool_->take();
  if (!place) {
    place = std::make_unique<KeptEvaluation>();
    place->activations = net_.make_kept_activations(trace_, regularisers_);
  }
  used_ += place->bytes;
  return place.get();
}

void KeptEvaluations::count(KeptEvaluation& evaluation) {
  const std::uint64_t bytes =
      net_.kept_bytes(*evaluation.activations) + evaluation.rates.capacity() * sizeof(float);
  if (bytes <= evaluation.bytes) return;
  used_ += bytes - evaluation.bytes;
  held += bytes - evaluation.bytes;
  evaluation.bytes = bytes;
}

void KeptEvaluations::accept(std::size_t first, std::size_t count, const Step& step) {
  // f at the step's end is its own stage where it was interpolated, and else the next one's first.
  const int end = tableau_.end_stage();
  const int stages = step.theta == 1 ? tableau_.differentiated_stages() : tableau_.stages;
  for (std::size_t i = first; i < first + count; ++i) {
    Tile& tile = tiles_[i];
    Stages& kept = tile.accepted.emplace_back(stages);
    std::move(tile.tried.begin(), tile.tried.begin() + stages, kept.begin());
    if (stages <= end) tile.tried[0] = std::move(tile.tried[end]);
  }
}

}  // namespace ffjord::cpu
