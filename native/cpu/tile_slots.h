// The tiles of each slot (core/slots.h), and how the sums of a block's slots become gradients.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/slots.h"
#include "cpu/thread_pool.h"
#include "cpu/tile_net.h"
#include "cpu/tiles.h"

namespace ffjord::cpu {

/// The most slots of a net with so many weights, each of which `sets` sums are kept of. More
/// threads than slots have nothing to do, and large slots take memory; 8 processes still find one
/// each.
inline std::size_t most_slots(std::size_t weights, std::size_t sets) {
  constexpr std::size_t kMostBytes = std::size_t{32} << 20, kLeastSlots = 8;
  const std::size_t fitting =
      kMostBytes / (sets * std::max<std::size_t>(1, weights) * sizeof(float));
  return std::clamp<std::size_t>(fitting, sets == 1 ? kLeastSlots : 1, kMostSlots);
}

class TileSlots {
 public:
  /// Slots of about `least_tiles` tiles or more.
  TileSlots(const Tiles& tiles, const BatchShare& share, std::size_t most,
            std::size_t least_tiles = 1)
      : tiles_(tiles),
        first_tiles_(
            first_tiles(tiles, Slots(tiles.batch, share, least_tiles * tiles.rows, most))) {}

  std::size_t count() const { return first_tiles_.size() - 1; }
  /// The slot of a tile.
  std::size_t of(std::size_t tile) const {
    return std::upper_bound(first_tiles_.begin() + 1, first_tiles_.end() - 1, tile) -
           first_tiles_.begin() - 1;
  }

  /// Numbers of the tiles of a slot.
  RowRange tiles(std::size_t slot) const { return {first_tiles_[slot], first_tiles_[slot + 1]}; }
  std::size_t most_tiles() const {
    std::size_t most = 0;
    for (std::size_t slot = 0; slot < count(); ++slot)
      most = std::max(most, tiles(slot).end - tiles(slot).first);
    return most;
  }

  RowRange rows(std::size_t slot) const {
    return {tiles_.first_row(first_tiles_[slot]),
            std::min(tiles_.first_row(first_tiles_[slot + 1]), tiles_.batch)};
  }

  /// Runs a job for each tile, those of a slot in order under one worker.
  void for_each_tile(Team& team, const Job& job) const {
    team.run(count(), [&](int worker, std::size_t slot) {
      for (std::size_t tile = first_tiles_[slot]; tile < first_tiles_[slot + 1]; ++tile)
        job(worker, tile);
    });
  }

  /// Sums of tiles as sums of slots.
  std::vector<double> sums(std::span<const double> tiles) const {
    std::vector<double> sums(count());
    for (std::size_t tile = 0; tile < tiles.size(); ++tile) sums[of(tile)] += tiles[tile];
    return sums;
  }

 private:
  static std::vector<std::size_t> first_tiles(const Tiles& tiles, const Slots& slots) {
    std::vector<std::size_t> first{0};
    for (const auto& [_, end] : slots) first.push_back((end + tiles.rows - 1) / tiles.rows);
    return first;
  }
  Tiles tiles_;
  std::vector<std::size_t> first_tiles_;  // one a slot, and the number of tiles
};

/// Adds the slots, scaled, to `gradients`: as a tree, in the first slot, piece by piece, so that
/// each is read from memory once. The slots hold nothing of use afterwards.
inline void reduce_slots(const TileNet& net, Team& team, std::span<GradientSlot* const> slots,
                         float scale, std::span<float> gradients) {
  if (slots.empty()) return;
  constexpr std::size_t kPiece = 4096;  // floats
  std::vector<std::vector<std::span<float>>> sums;
  for (GradientSlot* slot : slots) sums.push_back(slot->sums());
  struct Piece {
    std::size_t array, first, end;
  };
  std::vector<Piece> pieces;
  for (std::size_t array = 0; array < sums.front().size(); ++array) {
    const std::size_t size = sums.front()[array].size();
    for (std::size_t first = 0; first < size; first += kPiece)
      pieces.push_back({array, first, std::min(first + kPiece, size)});
  }
  const auto add_piece = [&](const Piece& piece) {
    add_as_tree(slots.size(), [&](std::size_t to_slot, std::size_t from_slot) {
      const std::span<float> from = sums[from_slot][piece.array];
      net.add(from.subspan(piece.first, piece.end - piece.first),
              sums[to_slot][piece.array].data() + piece.first);
    });
  };
  const std::size_t runs = std::min<std::size_t>(pieces.size(), 4 * team.size());
  team.run(runs, [&](int, std::size_t run) {
    for (std::size_t i = run; i < pieces.size(); i += runs) add_piece(pieces[i]);
  });
  net.add_sums(*slots.front(), scale, gradients);
}

/// Adds the slots to `gradients`. What each of them adds is complete before they are added up, so
/// that slots of other processes may join them as gradients.
inline void add_slots(const TileNet& net, Team& team, std::span<GradientSlot* const> slots,
                      std::span<float> gradients) {
  team.run(slots.size(), [&](int, std::size_t slot) { net.finish(*slots[slot]); });
  reduce_slots(net, team, slots, 1, gradients);
}

}  // namespace ffjord::cpu
