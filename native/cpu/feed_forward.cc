#include "cpu/feed_forward.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/slots.h"
#include "core/spare.h"
#include "cpu/aligned.h"
#include "cpu/dense_map.h"
#include "cpu/feed_forward_tile.h"
#include "cpu/thread_pool.h"
#include "cpu/tile_slots.h"

namespace ffjord::cpu {
namespace {

using SpareActivations = Spare<std::unique_ptr<FeedForwardActivations>>;

struct Tape : FeedForwardTape {
  explicit Tape(std::shared_ptr<SpareActivations> spare) : spare(std::move(spare)) {}
  ~Tape() override {
    for (auto& one : tiles)
      if (one) spare->give_back(std::move(one));
  }

  const std::shared_ptr<SpareActivations> spare;
  std::vector<std::unique_ptr<FeedForwardActivations>> tiles;
};

class CpuFeedForward : public FeedForward<float> {
 public:
  CpuFeedForward(const FeedForwardPlace<float>& place, std::string_view instruction_set,
                 int threads)
      : plan_(place.plan),
        tile_(make_feed_forward_tile(instruction_set, place)),
        threads_(threads),
        spare_(std::make_shared<SpareActivations>()) {}

  void parameters_changed() override {
    Team team(threads_);
    team.run(2 * plan_.layers.size(), [&](int, std::size_t item) {
      item % 2 == 0 ? tile_->pack(item / 2) : tile_->pack_transposed(item / 2);
    });
  }

  std::unique_ptr<FeedForwardTape> apply(std::size_t batch, std::span<const float> x,
                                         std::span<float> y, bool keep_tape) override {
    const Tiles tiles{batch, tile_->rows()};
    auto tape = std::make_unique<Tape>(spare_);
    tape->tiles.resize(tiles.count());
    Team team(threads_);
    team.run(tiles.count(), [&](int, std::size_t tile) {
      auto memory = spare_->take([&] { return tile_->make_activations(); });
      tile_->apply(rows(tiles, tile, x, y), *memory, keep_tape);
      if (keep_tape)
        tape->tiles[tile] = std::move(memory);
      else
        spare_->give_back(std::move(memory));
    });
    if (!keep_tape) return nullptr;
    return tape;
  }

  void pullback(const FeedForwardTape& any_tape, const FeedForwardBars<float>& bars) override {
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    const Tiles tiles{bars.batch, tile_->rows()};
    const TileSlots slots(tiles, bars.share, most_slots(weight_count(), 1));
    std::vector<std::unique_ptr<FeedForwardSums>> sums;
    for (std::size_t slot = 0; slot < slots.count(); ++slot) {
      sums.push_back(spare_sums_.take([&] { return tile_->make_sums(); }));
    }
    Team team(threads_);
    team.run(sums.size(), [&](int, std::size_t slot) { sums[slot]->clear(); });
    // A tile of each slot at a time: its cotangents, and then W̄ of a layer, which any thread takes.
    const std::size_t layers = plan_.layers.size();
    for (std::size_t round = 0; round < slots.most_tiles(); ++round) {
      const auto with_tile = [&](std::size_t slot, const auto& call) {
        const auto [first, end] = slots.tiles(slot);
        if (first + round < end) call(first + round);
      };
      team.run(slots.count(), [&](int, std::size_t slot) {
        with_tile(slot, [&](std::size_t tile) {
          tile_->pull_back(rows(tiles, tile, bars.y_bar, bars.x_bar), *tape.tiles[tile],
                           *sums[slot]);
        });
      });
      if (bars.gradients.empty()) continue;
      team.run(layers * slots.count(), [&](int, std::size_t item) {
        const std::size_t layer = layers - 1 - item / slots.count(), slot = item % slots.count();
        with_tile(slot, [&](std::size_t tile) {
          auto scratch = spare_scratch_.take(
              [&] { return std::make_unique<AlignedFloats>(tile_->weight_scratch()); });
          tile_->add_weights(layer, tiles.rows_in(tile), *tape.tiles[tile], *sums[slot],
                             scratch->data());
          spare_scratch_.give_back(std::move(scratch));
        });
      });
    }
    if (!bars.gradients.empty()) add_gradients(team, sums, bars.gradients);
    for (auto& one : sums) spare_sums_.give_back(std::move(one));
  }

 private:
  std::size_t weight_count() const {
    std::size_t count = 0;
    for (const FeedForwardLayer& layer : plan_.layers)
      count += layer.maps() * layer.map.weight_count();
    return count;
  }

  FeedForwardRows rows(const Tiles& tiles, std::size_t tile, std::span<const float> from,
                       std::span<float> to) const {
    const std::size_t count = tiles.rows_in(tile), first = tiles.first_row(tile);
    return {count, from.data() + first * (from.size() / tiles.batch),
            to.empty() ? nullptr : to.data() + first * (to.size() / tiles.batch)};
  }

  void add_gradients(Team& team, std::vector<std::unique_ptr<FeedForwardSums>>& sums,
                     std::span<float> gradients) const {
    constexpr std::size_t kPart = 1 << 14;
    const std::size_t size = sums.front()->values().size();
    team.run(sums.size(), [&](int, std::size_t slot) { tile_->finish(*sums[slot]); });
    team.run((size + kPart - 1) / kPart, [&](int, std::size_t part) {
      const std::size_t first = part * kPart, end = std::min(size, first + kPart);
      add_as_tree(sums.size(), [&](std::size_t to, std::size_t from) {
        float* const sum = sums[to]->values().data();
        const float* const added = sums[from]->values().data();
        for (std::size_t i = first; i < end; ++i) sum[i] += added[i];
      });
    });
    team.run(plan_.layers.size(), [&](int, std::size_t layer) {
      tile_->add_gradients(layer, *sums.front(), gradients);
    });
  }

  const FeedForwardPlan& plan_;
  const std::unique_ptr<FeedForwardTile> tile_;
  const int threads_;
  const std::shared_ptr<SpareActivations> spare_;
  Spare<std::unique_ptr<FeedForwardSums>> spare_sums_;
  Spare<std::unique_ptr<AlignedFloats>> spare_scratch_;
};

}  // namespace

std::unique_ptr<FeedForward<float>> make_feed_forward(const FeedForwardPlace<float>& place,
                                                      std::string_view instruction_set,
                                                      int threads) {
  if (is_dense_map(place.plan)) return make_dense_map(place, instruction_set, threads);
  return std::make_unique<CpuFeedForward>(place, instruction_set, threads);
}

}  // namespace ffjord::cpu
