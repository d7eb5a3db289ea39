#include "cpu/kept_evaluations.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ffjord::cpu {
namespace {

/// Bytes that all evaluations of this process hold, kept and idle.
std::atomic<std::uint64_t> held = 0;

/// What a solve may keep is granted in portions of so much, or of this part of what is left.
constexpr std::uint64_t kPortion = std::uint64_t{1} << 26;
constexpr std::uint64_t kPartOfMemory = 16;

}  // namespace

KeptEvaluation::~KeptEvaluation() { held -= bytes; }

EvaluationPool::EvaluationPool() : idle_memory_([this] { release(); }) {}

void EvaluationPool::release() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
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

void EvaluationPool::give_back(std::unique_ptr<KeptEvaluation> evaluation) noexcept try {
  std::list<std::unique_ptr<KeptEvaluation>> given;
  given.push_back(std::move(evaluation));
  const std::lock_guard lock(mutex_);
  idle_bytes_ += given.front()->bytes;
  idle_.splice(idle_.end(), given);
} catch (...) {  // no memory for the list: the evaluation goes
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
      limit_(pool_->idle_bytes() + unasked - std::min<std::uint64_t>(unasked, held)) {
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

// As much is kept, by all solves of this process, as is left beside: half of what there is; several
// processes leave each other a part. It is asked for anew with each portion, as others take memory
// meanwhile.
bool KeptEvaluations::has_room() {
  if (used_ < limit_) return true;
  const std::lock_guard lock(asking_);
  if (used_ < limit_ || full_) return !full_;
  const std::uint64_t available = available_memory();
  full_ = held >= available;
  if (!full_) limit_ = used_ + std::max(kPortion, available / kPartOfMemory);
  return !full_;
}

KeptEvaluation* KeptEvaluations::place(std::size_t tile, int stage) {
  auto& place = tiles_[tile].tried[stage];
  if (place) return place.get();
  if (!has_room()) return nullptr;
  auto evaluation = pool_->take();
  if (!evaluation) {
    evaluation = std::make_unique<KeptEvaluation>();
    evaluation->activations = net_.make_kept_activations(trace_, regularisers_);
  }
  used_ += evaluation->bytes;
  place = std::move(evaluation);
  return place.get();
}

void KeptEvaluations::drop(std::size_t tile, int stage) {
  auto& place = tiles_[tile].tried[stage];
  if (place) used_ -= place->bytes;
  place.reset();
  const std::lock_guard lock(asking_);
  full_ = true;
  limit_ = 0;
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
